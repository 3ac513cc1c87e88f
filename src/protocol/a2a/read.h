// The protocol's values from JSON, in either version's shapes. What is wrong is said with the member's name. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "chat/bounded_json.h"
#include "protocol/a2a/errors.h"
#include "protocol/a2a/values.h"
#include "protocol/field.h"

namespace engram::protocol::a2a {

// Of anybody, as in a task's history.
A2aResult<Message> read_message(const Field &field, WireVersion dialect);
A2aResult<Artifact> read_artifact(const Field &field, WireVersion dialect);
A2aResult<PushConfig> read_push_config(const Field &field, WireVersion dialect);

// The parameters of the methods; what isn't known is left out. A client's message is the user's.
A2aResult<SendRequest> read_send(const Field &params, WireVersion dialect);
A2aResult<TaskQuery> read_task_query(const Field &params);
A2aResult<ListQuery> read_list_query(const Field &params);
A2aResult<PushConfig> read_new_push_config(const Field &params, WireVersion dialect);  // of a task
A2aResult<PushConfigName> read_push_config_name(const Field &params, WireVersion dialect);
A2aResult<std::string> read_task_of_push_configs(const Field &params, WireVersion dialect);

// Members in the names of version 1.0's messages, where a client writes them as the .proto file does ("task_id"): readers of
// ProtoJSON take both. What clients put into data parts and metadata is theirs and stays as it is.
OrderedJson with_json_names(const OrderedJson &params);

// The parameters of a GET or DELETE, as the methods above read them.
OrderedJson params_of_query(const std::vector<std::pair<std::string, std::string>> &query);

}  // namespace engram::protocol::a2a
