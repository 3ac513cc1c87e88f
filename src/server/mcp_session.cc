#include "server/mcp_session.h"

#include <utility>

namespace engram::server {

using protocol::RpcId;
using protocol::RpcRequest;
using protocol::RpcResponse;
using protocol::RpcResult;

void McpSession::agree(Agreed agreed) {
    const std::scoped_lock lock(mutex_);
    agreed_ = std::move(agreed);
}

McpSession::Agreed McpSession::agreed() const {
    const std::scoped_lock lock(mutex_);
    return agreed_;
}

std::optional<protocol::mcp::LogLevel> McpSession::log_level() const {
    const std::scoped_lock lock(mutex_);
    return log_level_;
}

void McpSession::set_log_level(protocol::mcp::LogLevel level) {
    const std::scoped_lock lock(mutex_);
    log_level_ = level;
}

bool McpSession::subscribe(const std::string &uri) {
    const std::scoped_lock lock(mutex_);
    if (subscriptions_.size() >= kMostSubscriptions && !subscriptions_.contains(uri)) return false;
    subscriptions_.insert(uri);
    return true;
}

void McpSession::unsubscribe(const std::string &uri) {
    const std::scoped_lock lock(mutex_);
    subscriptions_.erase(uri);
}

McpSession::Under::~Under() {
    const std::scoped_lock lock(session_.mutex_);
    session_.requests_.erase(id_);
}

std::unique_ptr<McpSession::Under> McpSession::begin(const RpcId &id, std::stop_source stop) {
    const std::scoped_lock lock(mutex_);
    if (requests_.size() >= kMostRequests || !requests_.emplace(id, std::move(stop)).second) return nullptr;
    return std::make_unique<Under>(*this, id);
}

void McpSession::cancel(const RpcId &id) {
    std::optional<std::stop_source> stop;
    {
        const std::scoped_lock lock(mutex_);
        const auto found = requests_.find(id);
        if (found == requests_.end()) return;
        stop.emplace(found->second);
    }
    stop->request_stop();  // its callbacks may want the lock
}

void McpSession::cancel_all() {
    std::map<RpcId, std::stop_source> all;
    {
        const std::scoped_lock lock(mutex_);
        all = requests_;
    }
    for (auto &[id, stop] : all) stop.request_stop();
}

RpcResult<OrderedJson> McpSession::ask(std::string method, OrderedJson params, const Send &send, const std::stop_token &stop) {
    RpcId id;
    {
        const std::scoped_lock lock(mutex_);
        id = "engram-" + std::to_string(++asked_);
        questions_[id] = std::nullopt;
    }
    send(RpcRequest{.id = id, .method = std::move(method), .params = std::move(params)});
    std::unique_lock lock(mutex_);
    answer_came_.wait_for(lock, stop, kPatience, [&] { return questions_[id].has_value(); });
    auto answer = questions_.extract(id).mapped();
    if (!answer) return protocol::rpc_fail(protocol::kRpcInternalError, "the client has not answered");
    return std::move(*answer);
}

void McpSession::answered(const RpcResponse &response) {
    if (!response.id) return;
    const std::scoped_lock lock(mutex_);
    const auto question = questions_.find(*response.id);
    if (question == questions_.end() || question->second) return;
    question->second = response.outcome;
    answer_came_.notify_all();
}

}  // namespace engram::server
