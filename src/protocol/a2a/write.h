// JSON of the protocol's values, in either version's shapes. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "chat/bounded_json.h"
#include "protocol/a2a/values.h"

namespace engram::protocol::a2a {

OrderedJson message_json(const Message &message, WireVersion dialect);
OrderedJson artifact_json(const Artifact &artifact, WireVersion dialect);
OrderedJson status_json(const TaskStatus &status, WireVersion dialect);

struct TaskView {
    std::optional<std::uint32_t> history_length;  // of the newest messages; none given: all
    bool artifacts = true;
};
OrderedJson task_json(const Task &task, WireVersion dialect, const TaskView &view = {});

// {"statusUpdate":{…}} and the like; in version 0.3 the event itself, which says its kind.
OrderedJson event_json(const StreamEvent &event, WireVersion dialect);
// The parameters of SendMessage, as a client writes them: message, accepted modes, whether to wait.
OrderedJson send_json(const SendRequest &request, WireVersion dialect);
OrderedJson push_config_json(const PushConfig &config);  // in its own dialect

}  // namespace engram::protocol::a2a
