#include "protocol/a2a/write.h"

#include <algorithm>
#include <utility>

namespace engram::protocol::a2a {
namespace {

OrderedJson parsed(const std::string &text) { return OrderedJson::parse(text, nullptr, false); }

void put(OrderedJson &json, const char *name, const std::string &text) {
    if (!text.empty()) json[name] = text;
}

void put(OrderedJson &json, const char *name, const std::vector<std::string> &texts) {
    if (!texts.empty()) json[name] = texts;
}

void put_metadata(OrderedJson &json, const std::string &metadata) {
    if (!metadata.empty()) json["metadata"] = parsed(metadata);
}

OrderedJson part_of_1_0(const Part &part) {
    OrderedJson json = OrderedJson::object();
    switch (part.kind) {
        case Part::Kind::text: json["text"] = part.content; break;
        case Part::Kind::raw: json["raw"] = part.content; break;
        case Part::Kind::url: json["url"] = part.content; break;
        case Part::Kind::data: json["data"] = parsed(part.content); break;
    }
    put(json, "filename", part.filename);
    put(json, "mediaType", part.media_type);
    return json;
}

// Version 0.3 has a media type for files alone, and of data only objects.
OrderedJson part_of_0_3(const Part &part) {
    if (part.kind == Part::Kind::text) return {{"kind", "text"}, {"text", part.content}};
    if (part.kind == Part::Kind::data) {
        OrderedJson data = parsed(part.content);
        if (!data.is_object()) data = OrderedJson{{"value", std::move(data)}};
        return {{"kind", "data"}, {"data", std::move(data)}};
    }
    OrderedJson file{{part.kind == Part::Kind::raw ? "bytes" : "uri", part.content}};
    put(file, "name", part.filename);
    put(file, "mimeType", part.media_type);
    return {{"kind", "file"}, {"file", std::move(file)}};
}

OrderedJson parts_json(const std::vector<Part> &parts, WireVersion dialect) {
    OrderedJson list = OrderedJson::array();
    for (const Part &part : parts) {
        OrderedJson json = dialect == WireVersion::v1_0 ? part_of_1_0(part) : part_of_0_3(part);
        put_metadata(json, part.metadata);
        list.push_back(std::move(json));
    }
    return list;
}

OrderedJson head(const char *kind, WireVersion dialect) {
    OrderedJson json = OrderedJson::object();
    if (dialect == WireVersion::v0_3) json["kind"] = kind;
    return json;
}

const char *role_name(Role role, WireVersion dialect) {
    if (dialect == WireVersion::v1_0) return role == Role::user ? "ROLE_USER" : "ROLE_AGENT";
    return role == Role::user ? "user" : "agent";
}

OrderedJson status_update_json(const StatusUpdate &update, WireVersion dialect) {
    OrderedJson json = head("status-update", dialect);
    json["taskId"] = update.task_id;
    json["contextId"] = update.context_id;
    json["status"] = status_json(update.status, dialect);
    const TaskState state = update.status.state;
    if (dialect == WireVersion::v0_3) json["final"] = is_terminal(state) || is_interrupted(state);
    put_metadata(json, update.metadata);
    return json;
}

OrderedJson artifact_update_json(const ArtifactUpdate &update, WireVersion dialect) {
    OrderedJson json = head("artifact-update", dialect);
    json["taskId"] = update.task_id;
    json["contextId"] = update.context_id;
    json["artifact"] = artifact_json(update.artifact, dialect);
    json["append"] = update.append;
    json["lastChunk"] = update.last_chunk;
    return json;
}

}  // namespace

OrderedJson message_json(const Message &message, WireVersion dialect) {
    OrderedJson json = head("message", dialect);
    json["messageId"] = message.id;
    put(json, "contextId", message.context_id);
    put(json, "taskId", message.task_id);
    json["role"] = role_name(message.role, dialect);
    json["parts"] = parts_json(message.parts, dialect);
    put_metadata(json, message.metadata);
    put(json, "extensions", message.extensions);
    put(json, "referenceTaskIds", message.reference_task_ids);
    return json;
}

OrderedJson artifact_json(const Artifact &artifact, WireVersion dialect) {
    OrderedJson json{{"artifactId", artifact.id}};
    put(json, "name", artifact.name);
    put(json, "description", artifact.description);
    json["parts"] = parts_json(artifact.parts, dialect);
    put_metadata(json, artifact.metadata);
    put(json, "extensions", artifact.extensions);
    return json;
}

OrderedJson status_json(const TaskStatus &status, WireVersion dialect) {
    OrderedJson json{{"state", state_name(status.state, dialect)}};
    if (status.message) json["message"] = message_json(*status.message, dialect);
    json["timestamp"] = timestamp(status.time_ms);
    return json;
}

OrderedJson task_json(const Task &task, WireVersion dialect, const TaskView &view) {
    OrderedJson json = head("task", dialect);
    json["id"] = task.id;
    json["contextId"] = task.context_id;
    json["status"] = status_json(task.status, dialect);
    if (view.artifacts) {
        json["artifacts"] = OrderedJson::array();
        for (const Artifact &artifact : task.artifacts) json["artifacts"].push_back(artifact_json(artifact, dialect));
    }
    const std::size_t shown = std::min<std::size_t>(view.history_length.value_or(UINT32_MAX), task.history.size());
    if (shown > 0) {
        OrderedJson history = OrderedJson::array();
        for (auto message = task.history.end() - static_cast<std::ptrdiff_t>(shown); message != task.history.end(); ++message) {
            history.push_back(message_json(*message, dialect));
        }
        json["history"] = std::move(history);
    }
    put_metadata(json, task.metadata);
    return json;
}

OrderedJson event_json(const StreamEvent &event, WireVersion dialect) {
    const auto wrapped = [&](const char *name, OrderedJson json) -> OrderedJson {
        if (dialect == WireVersion::v0_3) return json;
        OrderedJson whole = OrderedJson::object();
        whole[name] = std::move(json);
        return whole;
    };
    if (const auto *task = std::get_if<Task>(&event)) return wrapped("task", task_json(*task, dialect));
    if (const auto *message = std::get_if<Message>(&event)) return wrapped("message", message_json(*message, dialect));
    if (const auto *status = std::get_if<StatusUpdate>(&event)) {
        return wrapped("statusUpdate", status_update_json(*status, dialect));
    }
    return wrapped("artifactUpdate", artifact_update_json(std::get<ArtifactUpdate>(event), dialect));
}

OrderedJson send_json(const SendRequest &request, WireVersion dialect) {
    OrderedJson configuration = OrderedJson::object();
    put(configuration, "acceptedOutputModes", request.accepted_output_modes);
    if (dialect == WireVersion::v1_0) {
        configuration["returnImmediately"] = request.return_immediately;
    } else {
        configuration["blocking"] = !request.return_immediately;
    }
    OrderedJson json{{"message", message_json(request.message, dialect)}, {"configuration", std::move(configuration)}};
    if (dialect == WireVersion::v1_0) put(json, "tenant", request.agent);
    put_metadata(json, request.metadata);
    return json;
}

OrderedJson push_config_json(const PushConfig &config) {
    const bool flat = config.dialect == WireVersion::v1_0;
    OrderedJson json = OrderedJson::object();
    if (flat) json["taskId"] = config.task_id;
    put(json, "id", config.id);
    json["url"] = config.url;
    put(json, "token", config.token);
    if (config.authentication) {
        OrderedJson authentication = OrderedJson::object();
        if (flat) {
            authentication["scheme"] = config.authentication->scheme;
        } else {
            authentication["schemes"] = OrderedJson::array({config.authentication->scheme});
        }
        put(authentication, "credentials", config.authentication->credentials);
        json["authentication"] = std::move(authentication);
    }
    if (flat) return json;
    return {{"taskId", config.task_id}, {"pushNotificationConfig", std::move(json)}};
}

}  // namespace engram::protocol::a2a
