#include "protocol/a2a/read_answer.h"

#include <algorithm>
#include <array>
#include <format>
#include <optional>
#include <utility>

#include "core/base64.h"
#include "protocol/a2a/method.h"

namespace engram::protocol::a2a {
namespace {

constexpr std::size_t kMost = 4096;  // elements of a list that are looked at

A2aResult<std::string> object_or_nothing(const Field &field) {
    if (!field.present()) return std::string();
    ENGRAM_TRY(field.must_be_object());
    return field.compact();
}

// --- parts ---

// A part's content, whichever version's shape it has: {"text"}, {"data"}, {"raw"}, {"url"}, or {"file": {"bytes" or "uri"}}.
A2aResult<std::optional<Part>> read_part(const Field &field) {
    ENGRAM_TRY(field.must_be_object());
    Part part;
    ENGRAM_ASSIGN(part.metadata, object_or_nothing(field["metadata"]));
    if (field["data"].present()) {
        part.kind = Part::Kind::data;
        part.content = field["data"].compact();
        return part;
    }
    const Field file = field["file"].present() ? field["file"] : field;
    struct Content {
        const char *name;
        Part::Kind kind;
    };
    constexpr auto kContents = std::to_array<Content>({{"text", Part::Kind::text},
                                                       {"raw", Part::Kind::raw},
                                                       {"bytes", Part::Kind::raw},
                                                       {"url", Part::Kind::url},
                                                       {"uri", Part::Kind::url}});
    const auto found = std::ranges::find_if(kContents, [&](const Content &content) { return file[content.name].present(); });
    if (found == kContents.end()) return std::nullopt;  // of a kind that isn't known here
    part.kind = found->kind;
    ENGRAM_ASSIGN(part.content, file[found->name].text());
    const bool has_file_name = file["filename"].present();
    ENGRAM_ASSIGN(part.filename, file[has_file_name ? "filename" : "name"].text_or(""));
    const bool has_media_type = file["mediaType"].present();
    ENGRAM_ASSIGN(part.media_type, file[has_media_type ? "mediaType" : "mimeType"].text_or(""));
    return part;
}

A2aResult<std::vector<Part>> read_parts(const Field &field) {
    std::vector<Part> parts;
    if (!field.present()) return parts;
    ENGRAM_TRY(field.must_be_array(0, kMost));
    for (const Field &element : field.elements()) {
        ENGRAM_ASSIGN(std::optional<Part> part, read_part(element));
        if (part) parts.push_back(std::move(*part));
    }
    return parts;
}

// --- messages, artifacts, statuses ---

A2aResult<Message> read_message(const Field &field) {
    ENGRAM_TRY(field.must_be_object());
    Message message;
    ENGRAM_ASSIGN(message.id, field["messageId"].text_or(""));
    ENGRAM_ASSIGN(const std::string role, field["role"].text_or(""));
    message.role = role == "ROLE_USER" || role == "user" ? Role::user : Role::agent;
    ENGRAM_ASSIGN(message.parts, read_parts(field["parts"]));
    ENGRAM_ASSIGN(message.context_id, field["contextId"].text_or(""));
    ENGRAM_ASSIGN(message.task_id, field["taskId"].text_or(""));
    ENGRAM_ASSIGN(message.metadata, object_or_nothing(field["metadata"]));
    return message;
}

A2aResult<Artifact> read_artifact(const Field &field) {
    ENGRAM_TRY(field.must_be_object());
    Artifact artifact;
    ENGRAM_ASSIGN(artifact.id, field["artifactId"].text_or(""));
    ENGRAM_ASSIGN(artifact.name, field["name"].text_or(""));
    ENGRAM_ASSIGN(artifact.parts, read_parts(field["parts"]));
    return artifact;
}

A2aResult<TaskStatus> read_status(const Field &field) {
    ENGRAM_TRY(field.must_be_object());
    TaskStatus status;
    ENGRAM_ASSIGN(const std::string name, field["state"].text());
    auto state = state_from_name(name, WireVersion::v1_0);
    if (!state) state = state_from_name(name, WireVersion::v0_3);
    if (!state) return field["state"].wrong("is no state that is known here");
    status.state = *state;
    if (field["message"].present()) {
        ENGRAM_ASSIGN(status.message, read_message(field["message"]));
    }
    return status;
}

A2aResult<StatusUpdate> read_status_update(const Field &field) {
    ENGRAM_TRY(field.must_be_object());
    StatusUpdate update;
    ENGRAM_ASSIGN(update.task_id, field["taskId"].text_or(""));
    ENGRAM_ASSIGN(update.context_id, field["contextId"].text_or(""));
    ENGRAM_ASSIGN(update.status, read_status(field["status"]));
    ENGRAM_ASSIGN(update.metadata, object_or_nothing(field["metadata"]));
    return update;
}

A2aResult<ArtifactUpdate> read_artifact_update(const Field &field) {
    ENGRAM_TRY(field.must_be_object());
    ArtifactUpdate update;
    ENGRAM_ASSIGN(update.task_id, field["taskId"].text_or(""));
    ENGRAM_ASSIGN(update.context_id, field["contextId"].text_or(""));
    ENGRAM_ASSIGN(update.artifact, read_artifact(field["artifact"]));
    ENGRAM_ASSIGN(update.append, field["append"].boolean_or(false));
    ENGRAM_ASSIGN(update.last_chunk, field["lastChunk"].boolean_or(false));
    return update;
}

// --- cards ---

// Nothing: a binding or a version that isn't spoken here.
std::optional<Interface> interface_of(std::string url, std::string_view binding, std::string_view version, std::string tenant) {
    const auto dialect = dialect_from(version);
    if (url.empty() || !dialect) return std::nullopt;
    if (binding == "JSONRPC") {
        return Interface{.url = std::move(url), .binding = Binding::json_rpc, .version = *dialect, .tenant = std::move(tenant)};
    }
    if (binding != "HTTP+JSON" || *dialect != WireVersion::v1_0) return std::nullopt;
    return Interface{.url = std::move(url), .binding = Binding::http_json, .version = *dialect, .tenant = std::move(tenant)};
}

A2aResult<void> read_interfaces(const Field &field, std::string_view default_version, const char *binding_name,
                                ServerCard &card) {
    if (!field.present()) return {};
    ENGRAM_TRY(field.must_be_array(0, kMost));
    for (const Field &element : field.elements()) {
        ENGRAM_TRY(element.must_be_object());
        ENGRAM_ASSIGN(std::string url, element["url"].text_or(""));
        ENGRAM_ASSIGN(const std::string binding, element[binding_name].text_or("JSONRPC"));
        ENGRAM_ASSIGN(const std::string version, element["protocolVersion"].text_or(std::string(default_version)));
        ENGRAM_ASSIGN(std::string tenant, element["tenant"].text_or(""));
        if (auto one = interface_of(std::move(url), binding, version, std::move(tenant)))
            card.interfaces.push_back(std::move(*one));
    }
    return {};
}

A2aResult<void> read_capabilities(const Field &field, ServerCard &card) {
    if (!field.present()) return {};
    ENGRAM_TRY(field.must_be_object());
    ENGRAM_ASSIGN(card.streaming, field["streaming"].boolean_or(false));
    for (const Field &extension : field["extensions"].elements()) {
        ENGRAM_ASSIGN(const bool required, extension["required"].boolean_or(false));
        ENGRAM_ASSIGN(std::string uri, extension["uri"].text_or(""));
        if (required) card.required_extensions.push_back(std::move(uri));
    }
    return {};
}

// What a server calls text need not be one.
bool is_utf8(const std::string &bytes) {
    try {
        static_cast<void>(OrderedJson(bytes).dump());
        return true;
    } catch (const OrderedJson::exception &) {
        return false;
    }
}

std::string file_text(const Part &part) {
    const std::string name = part.filename.empty() ? "without a name" : part.filename;
    if (part.kind == Part::Kind::url) return std::format("[File {}: {}]", name, part.content);
    const bool is_text = part.media_type.starts_with("text/") || part.media_type.contains("json");
    const auto bytes = is_text ? from_base64(part.content) : std::nullopt;
    if (bytes && is_utf8(*bytes)) return std::format("File {}:\n```\n{}\n```", name, *bytes);
    return std::format("[File {}, {}: not shown]", name, part.media_type.empty() ? "of no said type" : part.media_type);
}

}  // namespace

A2aResult<ServerCard> read_card(const Field &field) {
    ENGRAM_TRY(field.must_be_object());
    ServerCard card;
    ENGRAM_ASSIGN(card.name, field["name"].text_or(""));
    ENGRAM_ASSIGN(card.description, field["description"].text_or(""));
    ENGRAM_TRY(read_capabilities(field["capabilities"], card));
    ENGRAM_TRY(read_interfaces(field["supportedInterfaces"], "1.0", "protocolBinding", card));
    if (field["url"].present()) {  // as version 0.3 says it
        ENGRAM_ASSIGN(const std::string version, field["protocolVersion"].text_or("0.3.0"));
        ENGRAM_ASSIGN(std::string url, field["url"].text());
        ENGRAM_ASSIGN(const std::string transport, field["preferredTransport"].text_or("JSONRPC"));
        if (auto one = interface_of(std::move(url), transport, version, {})) card.interfaces.push_back(std::move(*one));
        ENGRAM_TRY(read_interfaces(field["additionalInterfaces"], version, "transport", card));
    }
    std::ranges::stable_sort(card.interfaces, std::ranges::less(), [](const Interface &one) {  // otherwise as the server prefers
        return one.version == WireVersion::v1_0 ? 0 : 1;
    });
    return card;
}

A2aResult<Task> read_task(const Field &field) {
    ENGRAM_TRY(field.must_be_object());
    Task task;
    ENGRAM_ASSIGN(task.id, field["id"].text_that_is_not_empty());
    ENGRAM_ASSIGN(task.context_id, field["contextId"].text_or(""));
    ENGRAM_ASSIGN(task.status, read_status(field["status"]));
    if (const Field artifacts = field["artifacts"]; artifacts.present()) {
        ENGRAM_TRY(artifacts.must_be_array(0, kMost));
        for (const Field &element : artifacts.elements()) {
            ENGRAM_ASSIGN(Artifact artifact, read_artifact(element));
            task.artifacts.push_back(std::move(artifact));
        }
    }
    for (const Field &element : field["history"].elements()) {
        ENGRAM_ASSIGN(Message message, read_message(element));
        task.history.push_back(std::move(message));
    }
    ENGRAM_ASSIGN(task.metadata, object_or_nothing(field["metadata"]));
    return task;
}

A2aResult<StreamEvent> read_event(const Field &field) {
    ENGRAM_TRY(field.must_be_object());
    ENGRAM_ASSIGN(const std::string kind, field["kind"].text_or(""));
    const auto is = [&](const char *wrapper, const char *name) { return field[wrapper].is_object() || kind == name; };
    const auto inner = [&](const char *wrapper) { return field[wrapper].is_object() ? field[wrapper] : field; };
    if (is("statusUpdate", "status-update")) return read_status_update(inner("statusUpdate"));
    if (is("artifactUpdate", "artifact-update")) return read_artifact_update(inner("artifactUpdate"));
    if (is("task", "task")) return read_task(inner("task"));
    if (is("message", "message")) return read_message(inner("message"));
    return field.wrong("is neither a task nor a message, nor an event of one");
}

Refusal read_refusal(const Field &field) {
    const Field error = field["error"].is_object() ? field["error"] : field;
    return {.code = error["code"].whole_number_or(0, INT64_MIN, INT64_MAX).value_or(0),
            .message = error["message"].text_or("").value_or("")};
}

std::string text_of_parts(const std::vector<Part> &parts) {
    std::string whole;
    const Part *before = nullptr;
    for (const Part &part : parts) {
        const bool goes_on = part.kind == Part::Kind::text && before != nullptr && before->kind == Part::Kind::text;
        if (!whole.empty() && !goes_on) whole += "\n\n";  // streamed pieces are kept as parts by some servers
        before = &part;
        switch (part.kind) {
            case Part::Kind::text: whole += part.content; break;
            case Part::Kind::data: whole += std::format("```json\n{}\n```", part.content); break;
            case Part::Kind::raw:
            case Part::Kind::url: whole += file_text(part); break;
        }
    }
    return whole;
}

}  // namespace engram::protocol::a2a
