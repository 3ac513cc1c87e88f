#include "server/a2a_push.h"

#include <algorithm>
#include <format>
#include <utility>

#include "http/public_address.h"
#include "http/url.h"

namespace engram::server {

using protocol::a2a::PushConfig;
using protocol::a2a::WireVersion;

namespace {

constexpr int kThreads = 4;
constexpr std::chrono::seconds kLookAgain{1};
constexpr std::chrono::seconds kTimeout{15};

http::FetchRequest post_of(const PushConfig &hook, std::string body, bool allow_private) {
    http::FetchRequest request{.url = hook.url, .headers = {}, .body = std::move(body)};
    request.timeout = kTimeout;
    request.public_only = !allow_private;
    const bool now = hook.dialect == WireVersion::v1_0;
    request.headers.emplace_back("Content-Type", now ? "application/a2a+json" : "application/json");
    if (hook.authentication) {
        request.headers.emplace_back("Authorization",
                                     std::format("{} {}", hook.authentication->scheme, hook.authentication->credentials));
    }
    if (!hook.token.empty()) request.headers.emplace_back("X-A2A-Notification-Token", hook.token);
    return request;
}

}  // namespace

A2aPush::A2aPush(Options options) : options_(std::move(options)) {
    for (int i = 0; i < kThreads; ++i) {
        threads_.emplace_back([this](const std::stop_token &stop) { work(stop); });
    }
}

A2aPush::~A2aPush() {
    for (std::jthread &thread : threads_) thread.request_stop();
    threads_.clear();  // joins
}

A2aPush::Key A2aPush::key_of(std::string_view tenant, std::string_view task, std::string_view hook) {
    return std::format("{}\n{}\n{}", tenant, task, hook);
}

Result<void> A2aPush::check(const PushConfig &hook) const {
    ENGRAM_TRY(http::check_url(hook.url));
    if (http::parse_url(hook.url).has_user) {
        return fail(ErrorCode::invalid_argument, "the address of a hook may not hold a user or a password: use `authentication`");
    }
    return options_.allow_private ? Result<void>() : http::check_public_url(hook.url);
}

void A2aPush::send(const PushConfig &hook, std::string_view tenant, std::string body) {
    bool dropped = false;
    {
        const std::scoped_lock lock(mutex_);
        dropped = waiting_ >= kMaxWaiting;
        if (!dropped) {
            ++waiting_;
            queues_[key_of(tenant, hook.task_id, hook.id)].waiting.push_back(
                post_of(hook, std::move(body), options_.allow_private));
        }
    }
    changed_.notify_one();
    if (dropped && options_.warn) {
        options_.warn(std::format("{} notifications of A2A tasks wait for their hooks already; one was dropped", kMaxWaiting));
    }
}

void A2aPush::forget(std::string_view tenant, std::string_view task, std::string_view hook) {
    const std::scoped_lock lock(mutex_);
    const auto found = queues_.find(key_of(tenant, task, hook));
    if (found == queues_.end()) return;
    waiting_ -= found->second.waiting.size();
    found->second.waiting.clear();
    if (!found->second.busy) queues_.erase(found);
}

bool A2aPush::idle() const {
    const std::scoped_lock lock(mutex_);
    return queues_.empty();
}

std::map<A2aPush::Key, A2aPush::Queue>::iterator A2aPush::next_due() {
    const auto now = Clock::now();
    return std::ranges::find_if(queues_, [&](const auto &entry) { return !entry.second.busy && entry.second.due <= now; });
}

void A2aPush::settle(const Key &key, bool delivered) {
    const auto found = queues_.find(key);
    if (found == queues_.end()) return;
    Queue &queue = found->second;
    queue.busy = false;
    const bool over = delivered || ++queue.attempts >= kMaxAttempts;
    if (over && !queue.waiting.empty()) {
        queue.waiting.pop_front();
        --waiting_;
        queue.attempts = 0;
        queue.due = {};
    } else if (!over) {
        queue.due = Clock::now() + options_.first_retry * (1 << (queue.attempts - 1));
    }
    if (queue.waiting.empty()) queues_.erase(found);
}

void A2aPush::work(const std::stop_token &stop) {
    auto fetcher = http::Fetcher::create();
    if (!fetcher) {
        if (options_.warn) options_.warn(fetcher.error().message);
        return;
    }
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        const auto due = next_due();
        if (due == queues_.end()) {
            const auto pause = std::min<std::chrono::milliseconds>(kLookAgain, options_.first_retry);
            changed_.wait_for(lock, stop, pause, [this] { return next_due() != queues_.end(); });
            continue;
        }
        due->second.busy = true;
        const Key key = due->first;
        const http::FetchRequest request = due->second.waiting.front();
        lock.unlock();
        const auto reply = fetcher->send(request, stop, [](const http::FetchReply &, std::string_view) { return true; });
        lock.lock();
        // An address that isn't allowed doesn't come to be allowed.
        const bool settled = reply ? reply->status / 100 == 2 : reply.error().code == ErrorCode::invalid_argument;
        settle(key, settled);
    }
}

}  // namespace engram::server
