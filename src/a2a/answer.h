// An agent's answer, put together from what its server says as it goes. Pure.
#pragma once

#include <string>
#include <vector>

#include "protocol/a2a/values.h"

namespace engram::a2a {

class Answer {
  public:
    // Takes what the server said next. Gives the text that is new in the artifacts, for whoever reads along.
    std::string take(const protocol::a2a::StreamEvent &event);

    // The task has ended or needs something, or the answer was a message.
    bool over() const;
    protocol::a2a::TaskState state() const { return task_.status.state; }  // completed, where the answer was a message
    const std::string &task_id() const { return task_.id; }                // empty: none is known
    const std::string &context_id() const { return task_.context_id; }
    const std::string &metadata() const { return task_.metadata; }

    // What the agent has to say: its artifacts; without them the status's message, and without that its last message.
    std::string text() const;
    std::string status_text() const;               // of the status's message
    std::vector<std::string> status_data() const;  // likewise: its parts that are JSON

  private:
    void put_task(const protocol::a2a::Task &task);
    std::string put_piece(const protocol::a2a::ArtifactUpdate &update);

    protocol::a2a::Task task_;
    bool is_message_ = false;
};

}  // namespace engram::a2a
