// Gives work to an agent of another server, in the A2A protocol (protocol/a2a): JSON-RPC in version 1.0 or 0.3, or HTTP+JSON in
// 1.0, as the agent's card offers it.
//
//     a2a::Client legal({.name = "legal", .url = "https://example.com/a2a/legal"});
//     auto answer = legal.ask({.text = "Is this contract sound?", .context_id = context}, {}, stop);
//
// Thread-safe; each request has a connection of its own.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "a2a/answer.h"
#include "a2a/remote_list.h"
#include "engram/error.h"
#include "protocol/a2a/read_answer.h"

namespace engram::a2a {

struct Question {
    std::string text;
    std::string data = {};   // JSON that is said instead of the text; empty: none
    std::string context_id;  // of earlier questions; empty: a new conversation
    std::string task_id;     // of a task that waits for more; empty: a new task
    std::string metadata;    // of the message: a JSON object, or empty
};

// What is heard while an answer comes; either may be null. On the caller's thread.
struct Hearing {
    std::function<void(std::string_view piece)> text = {};       // the answer in pieces, where the server sends such
    std::function<void(const std::string &context)> begun = {};  // once: the conversation's name at the server
};

class Client {
  public:
    explicit Client(RemoteConfig config) : config_(std::move(config)) {}

    const RemoteConfig &config() const { return config_; }

    // What the agent says of itself: asked for once, and again after ten minutes. io: it can't be reached, or what it says can't
    // be read; unsupported: it speaks nothing that is spoken here; cancelled.
    Result<protocol::a2a::ServerCard> card(const std::stop_token &stop);

    // Until the answer is there, or the agent needs more. With `stop`, and when the time is up, the task is cancelled at its
    // server. io: no connection, and likewise what the server refuses; not_found: the task that the question belongs to isn't
    // there any more; cancelled.
    Result<Answer> ask(const Question &question, const Hearing &hearing, const std::stop_token &stop);

  private:
    Result<protocol::a2a::ServerCard> fetch_card(const std::stop_token &stop) const;

    const RemoteConfig config_;
    std::mutex mutex_;
    std::optional<protocol::a2a::ServerCard> card_;     // guarded by mutex_
    std::chrono::steady_clock::time_point card_until_;  // likewise
};

}  // namespace engram::a2a
