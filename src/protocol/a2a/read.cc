#include "protocol/a2a/read.h"

#include <algorithm>
#include <charconv>
#include <format>

namespace engram::protocol::a2a {
namespace {

constexpr std::size_t kMaxParts = 256;
constexpr std::size_t kMaxTexts = 256;
constexpr std::size_t kMaxIdBytes = 512;
constexpr std::size_t kMaxUrlBytes = 2048;
constexpr std::size_t kMaxSecretBytes = 4096;

A2aResult<std::string> id_or_nothing(const Field &field) {
    ENGRAM_ASSIGN(std::string id, field.text_or(""));
    if (id.size() > kMaxIdBytes) return field.wrong(std::format("must have at most {} bytes", kMaxIdBytes));
    return id;
}

A2aResult<std::string> id_of(const Field &field) {
    ENGRAM_TRY(field.text_that_is_not_empty());
    return id_or_nothing(field);
}

A2aResult<std::string> object_or_nothing(const Field &field) {
    if (!field.present()) return std::string();
    ENGRAM_TRY(field.must_be_object());
    return field.compact();
}

A2aResult<std::vector<std::string>> texts(const Field &field) {
    std::vector<std::string> list;
    if (!field.present()) return list;
    ENGRAM_TRY(field.must_be_array(0, kMaxTexts));
    for (const Field &element : field.elements()) {
        ENGRAM_ASSIGN(std::string text, element.text());
        list.push_back(std::move(text));
    }
    return list;
}

A2aResult<std::optional<std::uint32_t>> count_or_nothing(const Field &field) {
    if (!field.present()) return std::nullopt;
    ENGRAM_ASSIGN(const std::int64_t count, field.whole_number(0, INT32_MAX));
    return static_cast<std::uint32_t>(count);
}

// --- parts ---

A2aResult<Part> read_part_1_0(const Field &field) {
    struct Content {
        const char *name;
        Part::Kind kind;
    };
    constexpr Content kContents[] = {
        {"text", Part::Kind::text}, {"raw", Part::Kind::raw}, {"url", Part::Kind::url}, {"data", Part::Kind::data}};
    const auto has = [&](const Content &content) { return field.json().contains(content.name); };
    if (std::ranges::count_if(kContents, has) != 1) {
        return field.wrong("must have exactly one of \"text\", \"raw\", \"url\" and \"data\"");
    }
    const Content &content = *std::ranges::find_if(kContents, has);
    Part part{.kind = content.kind};
    if (part.kind == Part::Kind::data) {
        part.content = field["data"].compact();
    } else {
        ENGRAM_ASSIGN(part.content, field[content.name].text());
    }
    ENGRAM_ASSIGN(part.filename, field["filename"].text_or(""));
    ENGRAM_ASSIGN(part.media_type, field["mediaType"].text_or(""));
    return part;
}

A2aResult<Part> read_part_0_3(const Field &field) {
    ENGRAM_ASSIGN(const std::string kind, field["kind"].text());
    Part part;
    if (kind == "text") {
        ENGRAM_ASSIGN(part.content, field["text"].text());
    } else if (kind == "data") {
        ENGRAM_TRY(field["data"].must_be_object());
        part.kind = Part::Kind::data;
        part.content = field["data"].compact();
    } else if (kind == "file") {
        const Field file = field["file"];
        ENGRAM_TRY(file.must_be_object());
        const bool bytes = file["bytes"].present();
        if (bytes == file["uri"].present()) return file.wrong("must have either \"bytes\" or \"uri\"");
        part.kind = bytes ? Part::Kind::raw : Part::Kind::url;
        ENGRAM_ASSIGN(part.content, file[bytes ? "bytes" : "uri"].text());
        ENGRAM_ASSIGN(part.filename, file["name"].text_or(""));
        ENGRAM_ASSIGN(part.media_type, file["mimeType"].text_or(""));
    } else {
        return field["kind"].wrong("must be \"text\", \"file\" or \"data\"");
    }
    return part;
}

A2aResult<std::vector<Part>> read_parts(const Field &field, WireVersion dialect) {
    ENGRAM_TRY(field.must_be_array(1, kMaxParts));
    std::vector<Part> parts;
    for (const Field &element : field.elements()) {
        ENGRAM_TRY(element.must_be_object());
        ENGRAM_ASSIGN(Part part, dialect == WireVersion::v1_0 ? read_part_1_0(element) : read_part_0_3(element));
        ENGRAM_ASSIGN(part.metadata, object_or_nothing(element["metadata"]));
        parts.push_back(std::move(part));
    }
    return parts;
}

A2aResult<Role> read_role(const Field &field, WireVersion dialect) {
    const bool now = dialect == WireVersion::v1_0;
    ENGRAM_ASSIGN(const std::string name, field.text());
    if (name == (now ? "ROLE_USER" : "user")) return Role::user;
    if (name == (now ? "ROLE_AGENT" : "agent")) return Role::agent;
    return field.wrong(now ? "must be \"ROLE_USER\" or \"ROLE_AGENT\"" : "must be \"user\" or \"agent\"");
}

// --- push configurations ---

// Text that goes into a header of the request to the hook.
A2aResult<std::string> header_text(const Field &field) {
    ENGRAM_ASSIGN(std::string text, field.text_or(""));
    if (text.size() > kMaxSecretBytes || !std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; })) {
        return field.wrong(std::format("must be at most {} printable ASCII characters", kMaxSecretBytes));
    }
    return text;
}

A2aResult<std::optional<PushConfig::Authentication>> read_authentication(const Field &field, WireVersion dialect) {
    if (!field.present()) return std::nullopt;
    ENGRAM_TRY(field.must_be_object());
    PushConfig::Authentication authentication;
    if (dialect == WireVersion::v1_0) {
        ENGRAM_ASSIGN(authentication.scheme, header_text(field["scheme"]));
    } else {
        const Field schemes = field["schemes"];
        ENGRAM_TRY(schemes.must_be_array(0, kMaxTexts));
        if (const auto all = schemes.elements(); !all.empty()) {
            ENGRAM_ASSIGN(authentication.scheme, header_text(all.front()));
        }
    }
    if (authentication.scheme.empty() || authentication.scheme.contains(' ')) {
        return field.wrong("must name a scheme of HTTP's authentication, such as \"Bearer\"");
    }
    ENGRAM_ASSIGN(authentication.credentials, header_text(field["credentials"]));
    return authentication;
}

// --- the methods ---

A2aResult<void> read_configuration(const Field &field, WireVersion dialect, SendRequest &request) {
    if (!field.present()) return {};
    ENGRAM_TRY(field.must_be_object());
    ENGRAM_ASSIGN(request.accepted_output_modes, texts(field["acceptedOutputModes"]));
    ENGRAM_ASSIGN(request.history_length, count_or_nothing(field["historyLength"]));
    const bool now = dialect == WireVersion::v1_0;
    if (now) {
        ENGRAM_ASSIGN(request.return_immediately, field["returnImmediately"].boolean_or(false));
    } else {
        ENGRAM_ASSIGN(const bool blocking, field["blocking"].boolean_or(true));
        request.return_immediately = !blocking;
    }
    if (const Field push = field[now ? "taskPushNotificationConfig" : "pushNotificationConfig"]; push.present()) {
        ENGRAM_ASSIGN(request.push, read_push_config(push, dialect));
    }
    return {};
}

}  // namespace

A2aResult<Message> read_message(const Field &field, WireVersion dialect) {
    ENGRAM_TRY(field.must_be_object());
    Message message;
    ENGRAM_ASSIGN(message.id, id_of(field["messageId"]));
    ENGRAM_ASSIGN(message.role, read_role(field["role"], dialect));
    ENGRAM_ASSIGN(message.parts, read_parts(field["parts"], dialect));
    ENGRAM_ASSIGN(message.context_id, id_or_nothing(field["contextId"]));
    ENGRAM_ASSIGN(message.task_id, id_or_nothing(field["taskId"]));
    ENGRAM_ASSIGN(message.metadata, object_or_nothing(field["metadata"]));
    ENGRAM_ASSIGN(message.extensions, texts(field["extensions"]));
    ENGRAM_ASSIGN(message.reference_task_ids, texts(field["referenceTaskIds"]));
    return message;
}

A2aResult<Artifact> read_artifact(const Field &field, WireVersion dialect) {
    ENGRAM_TRY(field.must_be_object());
    Artifact artifact;
    ENGRAM_ASSIGN(artifact.id, id_of(field["artifactId"]));
    ENGRAM_ASSIGN(artifact.name, field["name"].text_or(""));
    ENGRAM_ASSIGN(artifact.description, field["description"].text_or(""));
    ENGRAM_ASSIGN(artifact.parts, read_parts(field["parts"], dialect));
    ENGRAM_ASSIGN(artifact.metadata, object_or_nothing(field["metadata"]));
    ENGRAM_ASSIGN(artifact.extensions, texts(field["extensions"]));
    return artifact;
}

A2aResult<PushConfig> read_push_config(const Field &field, WireVersion dialect) {
    ENGRAM_TRY(field.must_be_object());
    PushConfig config{.dialect = dialect};
    ENGRAM_ASSIGN(config.id, id_or_nothing(field["id"]));
    ENGRAM_ASSIGN(config.url, field["url"].text_that_is_not_empty());
    const bool web = config.url.starts_with("http://") || config.url.starts_with("https://");
    const auto stands_in_no_url = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; };
    if (!web || config.url.size() > kMaxUrlBytes || std::ranges::any_of(config.url, stands_in_no_url)) {
        return field["url"].wrong(std::format("must be an http or https URL of at most {} bytes", kMaxUrlBytes));
    }
    ENGRAM_ASSIGN(config.token, header_text(field["token"]));
    ENGRAM_ASSIGN(config.authentication, read_authentication(field["authentication"], dialect));
    return config;
}

A2aResult<SendRequest> read_send(const Field &params, WireVersion dialect) {
    ENGRAM_TRY(params.must_be_object());
    SendRequest request;
    ENGRAM_ASSIGN(request.message, read_message(params["message"], dialect));
    if (request.message.role != Role::user) {
        return params["message"]["role"].wrong("must be the user's: only the agent speaks as the agent");
    }
    ENGRAM_TRY(read_configuration(params["configuration"], dialect, request));
    ENGRAM_ASSIGN(request.metadata, object_or_nothing(params["metadata"]));
    ENGRAM_ASSIGN(request.agent, id_or_nothing(params["tenant"]));
    return request;
}

A2aResult<TaskQuery> read_task_query(const Field &params) {
    ENGRAM_TRY(params.must_be_object());
    TaskQuery query;
    ENGRAM_ASSIGN(query.id, id_of(params["id"]));
    ENGRAM_ASSIGN(query.history_length, count_or_nothing(params["historyLength"]));
    return query;
}

A2aResult<ListQuery> read_list_query(const Field &params) {
    ENGRAM_TRY(params.must_be_object());
    ListQuery query;
    ENGRAM_ASSIGN(query.context_id, id_or_nothing(params["contextId"]));
    const Field state = params["status"];
    ENGRAM_ASSIGN(const std::string name, state.text_or(""));
    if (!name.empty()) {
        query.state = state_from_name(name, WireVersion::v1_0);
        if (!query.state && name != "TASK_STATE_UNSPECIFIED")
            return state.wrong("must be the name of a state, such as TASK_STATE_WORKING");
    }
    ENGRAM_ASSIGN(const std::int64_t page_size, params["pageSize"].whole_number_or(query.page_size, 1, 100));
    query.page_size = static_cast<std::uint32_t>(page_size);
    ENGRAM_ASSIGN(query.page_token, id_or_nothing(params["pageToken"]));
    ENGRAM_ASSIGN(query.history_length, count_or_nothing(params["historyLength"]));
    ENGRAM_ASSIGN(query.include_artifacts, params["includeArtifacts"].boolean_or(false));
    const Field after = params["statusTimestampAfter"];
    ENGRAM_ASSIGN(const std::string text, after.text_or(""));
    if (!text.empty()) {
        const auto time_ms = time_from(text);
        if (!time_ms) return after.wrong("must be a time in UTC, such as 2025-10-28T10:30:00.000Z");
        query.changed_from_ms = *time_ms;
    }
    return query;
}

A2aResult<PushConfig> read_new_push_config(const Field &params, WireVersion dialect) {
    ENGRAM_TRY(params.must_be_object());
    ENGRAM_ASSIGN(const std::string task_id, id_of(params["taskId"]));
    ENGRAM_ASSIGN(PushConfig config,
                  read_push_config(dialect == WireVersion::v1_0 ? params : params["pushNotificationConfig"], dialect));
    config.task_id = task_id;
    return config;
}

A2aResult<PushConfigName> read_push_config_name(const Field &params, WireVersion dialect) {
    ENGRAM_TRY(params.must_be_object());
    PushConfigName name;
    const bool now = dialect == WireVersion::v1_0;
    ENGRAM_ASSIGN(name.task_id, id_of(params[now ? "taskId" : "id"]));
    if (now) {
        ENGRAM_ASSIGN(name.id, id_of(params["id"]));
    } else {
        ENGRAM_ASSIGN(name.id, id_or_nothing(params["pushNotificationConfigId"]));
    }
    return name;
}

A2aResult<std::string> read_task_of_push_configs(const Field &params, WireVersion dialect) {
    ENGRAM_TRY(params.must_be_object());
    return id_of(params[dialect == WireVersion::v1_0 ? "taskId" : "id"]);
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the JSON, which is bounded
OrderedJson with_json_names(const OrderedJson &params) {
    if (params.is_array()) {
        OrderedJson list = OrderedJson::array();
        for (const OrderedJson &element : params) list.push_back(with_json_names(element));
        return list;
    }
    if (!params.is_object()) return params;
    OrderedJson named = OrderedJson::object();
    for (const auto &[key, value] : params.items()) {
        std::string name;
        for (const char c : key) {
            const bool begins_word = name.ends_with('_') && c >= 'a' && c <= 'z';
            if (begins_word) name.back() = static_cast<char>(c - 'a' + 'A');
            if (!begins_word) name += c;
        }
        const bool theirs = name == "data" || name == "metadata";
        if (key == name || !params.contains(name)) named[name] = theirs ? value : with_json_names(value);
    }
    return named;
}

OrderedJson params_of_query(const std::vector<std::pair<std::string, std::string>> &query) {
    OrderedJson params = OrderedJson::object();
    for (const auto &[name, text] : query) {
        if (params.contains(name) || params.size() >= kMaxTexts) continue;
        std::int64_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        const bool numeric = error == std::errc() && end == text.data() + text.size();
        if (numeric && (name == "historyLength" || name == "pageSize")) {
            params[name] = number;
        } else if (name == "includeArtifacts" && (text == "true" || text == "false")) {
            params[name] = text == "true";
        } else if (!text.empty()) {
            params[name] = text;
        }
    }
    return params;
}

}  // namespace engram::protocol::a2a
