// What agents tell each other in the A2A protocol (Agent2Agent, version 1.0; version 0.3 says the same in other shapes), as plain
// values: messages, tasks, artifacts, what changes a task, where to tell of it. JSON goes in through read.h and out through
// write.h. JSON travels as text where Engram only passes it on (metadata, data parts): whoever makes such a text has checked it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace engram::protocol::a2a {

// In whose shapes and names a client speaks.
enum class WireVersion : std::uint8_t { v1_0, v0_3 };

enum class TaskState : std::uint8_t {
    submitted,  // waits for its turn
    working,
    completed,
    failed,
    canceled,
    input_required,  // goes on with the next message of this task
    rejected,
    auth_required,
};
bool is_terminal(TaskState state);                                  // nothing follows: completed, failed, canceled, rejected
bool is_interrupted(TaskState state);                               // waits for the client: input_required, auth_required
std::string_view state_name(TaskState state, WireVersion dialect);  // "TASK_STATE_WORKING", or "working"
std::optional<TaskState> state_from_name(std::string_view name, WireVersion dialect);

struct Part {
    enum class Kind : std::uint8_t { text, raw, url, data };
    Kind kind = Kind::text;
    std::string content;  // the text; bytes in base64, as they came; the URL; JSON
    std::string filename, media_type;
    std::string metadata;  // here and below: a JSON object, or empty: none
    bool operator==(const Part &) const = default;
};

enum class Role : std::uint8_t { user, agent };

struct Message {
    std::string id;
    std::string context_id, task_id;  // empty: none
    Role role = Role::user;
    std::vector<Part> parts;
    std::string metadata;
    std::vector<std::string> extensions, reference_task_ids;
    bool operator==(const Message &) const = default;
};

struct Artifact {
    std::string id, name, description;
    std::vector<Part> parts;
    std::string metadata;
    std::vector<std::string> extensions;
    bool operator==(const Artifact &) const = default;
};

struct TaskStatus {
    TaskState state = TaskState::submitted;
    std::optional<Message> message;
    std::int64_t time_ms = 0;  // Unix time
    bool operator==(const TaskStatus &) const = default;
};

struct Task {
    std::string id, context_id;
    TaskStatus status;
    std::vector<Artifact> artifacts;
    std::vector<Message> history;
    std::string metadata;
    bool operator==(const Task &) const = default;
};

struct StatusUpdate {
    std::string task_id, context_id;
    TaskStatus status;
    std::string metadata;
};

struct ArtifactUpdate {
    std::string task_id, context_id;
    Artifact artifact;
    bool append = false;  // to the artifact of that id; else it takes its place
    bool last_chunk = false;
};

using StreamEvent = std::variant<Task, Message, StatusUpdate, ArtifactUpdate>;

// Where to tell of a task's changes.
struct PushConfig {
    struct Authentication {
        std::string scheme, credentials;
        bool operator==(const Authentication &) const = default;
    };
    std::string task_id, id;
    std::string url;
    std::string token;
    std::optional<Authentication> authentication;
    WireVersion dialect = WireVersion::v1_0;  // of whoever made it, and so of what is posted there
    bool operator==(const PushConfig &) const = default;
};

// --- what clients ask ---

struct SendRequest {
    Message message;
    std::vector<std::string> accepted_output_modes;  // media types; empty: any
    std::optional<PushConfig> push;
    std::optional<std::uint32_t> history_length;  // most messages of the task's history in the answer; none given: all
    bool return_immediately = false;
    std::string metadata;
    std::string agent;  // the request's `tenant`: which of the agents behind one address; empty: not said
};

struct TaskQuery {
    std::string id;
    std::optional<std::uint32_t> history_length;
};

struct ListQuery {
    std::string context_id;  // empty: any
    std::optional<TaskState> state;
    std::uint32_t page_size = 50;
    std::string page_token;
    std::optional<std::uint32_t> history_length;
    std::int64_t changed_from_ms = 0;  // status at or after
    bool include_artifacts = false;
};

struct PushConfigName {
    std::string task_id;
    std::string id;  // empty, in version 0.3: the task's first one
};

// "2025-10-28T10:30:00.000Z".
std::string timestamp(std::int64_t time_ms);
std::optional<std::int64_t> time_from(std::string_view text);  // a timestamp; nullopt: it is none, or not UTC

}  // namespace engram::protocol::a2a
