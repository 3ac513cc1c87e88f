#include "server/a2a_push.h"

#include <algorithm>
#include <format>
#include <utility>

#include "http/public_address.h"
#include "http/url.h"
#include "ports/clock.h"

namespace engram::server {

using protocol::a2a::PushConfig;
using protocol::a2a::WireVersion;

namespace {

constexpr int kThreads = 4;
constexpr std::chrono::seconds kLookAgain{1};
constexpr std::chrono::seconds kTimeout{15};
constexpr std::chrono::milliseconds kLongestPause{15 * 60 * 1000};
constexpr int kMostDoublings = 20;
constexpr std::int64_t kLifeMs = 24LL * 60 * 60 * 1000;
constexpr std::uint64_t kBytesBeside =
    1024;  // that a notification counts for beside its text, so that many small ones are bounded

// A hook that says so won't take it later either.
bool is_refusal(long status) { return status / 100 == 4 && status != 408 && status != 425 && status != 429; }

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

A2aPush::A2aPush(A2aTaskStore &store, Options options) : store_(store), options_(std::move(options)) {
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

void A2aPush::warn(std::string_view sentence) const {
    if (options_.warn) options_.warn(sentence);
}

Result<void> A2aPush::check(const PushConfig &hook) const {
    ENGRAM_TRY(http::check_url(hook.url));
    if (http::parse_url(hook.url).has_user) {
        return fail(ErrorCode::invalid_argument, "the address of a hook may not hold a user or a password: use `authentication`");
    }
    return options_.allow_private ? Result<void>() : http::check_public_url(hook.url);
}

// --- what waits ---

void A2aPush::add(const WaitingNotification &notification) {
    Queue &queue = queues_[key_of(notification.tenant, notification.task, notification.hook)];
    queue.tenant = notification.tenant;
    const Waiting waiting{
        .id = notification.id, .created_ms = notification.created_ms, .bytes = notification.body_bytes + kBytesBeside};
    queue.waiting.push_back(waiting);
    bytes_ += waiting.bytes;
    bytes_of_tenant_[queue.tenant] += waiting.bytes;
}

void A2aPush::count_out(const Queue &queue, const Waiting &waiting) {
    bytes_ -= waiting.bytes;
    const auto of_tenant = bytes_of_tenant_.find(queue.tenant);
    of_tenant->second -= waiting.bytes;
    if (of_tenant->second == 0) bytes_of_tenant_.erase(of_tenant);
}

// One tenant's dead hooks don't cost another's notifications.
A2aPush::Queue *A2aPush::oldest_of_the_fullest() {
    const auto fullest = std::ranges::max_element(bytes_of_tenant_, {}, [](const auto &entry) { return entry.second; });
    Queue *oldest = nullptr;
    for (auto &[key, queue] : queues_) {
        if (queue.tenant != fullest->first || queue.waiting.empty()) continue;
        if (oldest == nullptr || queue.waiting.front().id < oldest->waiting.front().id) oldest = &queue;
    }
    return oldest;
}

std::vector<std::int64_t> A2aPush::make_room() {
    std::vector<std::int64_t> dropped;
    while (bytes_ > options_.max_waiting_bytes) {
        Queue &queue = *oldest_of_the_fullest();
        dropped.push_back(queue.waiting.front().id);
        count_out(queue, queue.waiting.front());
        queue.waiting.pop_front();
    }
    if (!dropped.empty())
        std::erase_if(queues_, [](const auto &entry) { return entry.second.waiting.empty() && !entry.second.busy; });
    return dropped;
}

void A2aPush::remove(std::int64_t id) {
    if (const auto removed = store_.remove_notification(id); !removed) {
        warn(std::format("a notification of an A2A task that is over will be sent again after the next start: {}",
                         removed.error().message));
    }
}

Result<void> A2aPush::restore() {
    ENGRAM_ASSIGN(const std::vector<WaitingNotification> all, store_.waiting_notifications());
    {
        const std::scoped_lock lock(mutex_);
        for (const WaitingNotification &notification : all) add(notification);
    }
    changed_.notify_all();
    return {};
}

void A2aPush::send(const A2aNotification &stored) {
    std::vector<std::int64_t> dropped;
    {
        const std::scoped_lock lock(mutex_);
        add({.id = stored.id,
             .tenant = stored.tenant,
             .task = stored.hook.task_id,
             .hook = stored.hook.id,
             .body_bytes = stored.body.size(),
             .created_ms = stored.created_ms});
        dropped = make_room();
    }
    changed_.notify_one();
    for (const std::int64_t id : dropped) remove(id);
    if (!dropped.empty()) {
        warn(std::format("what A2A webhooks haven't taken yet has more than {} bytes: the oldest {} of it {} dropped",
                         options_.max_waiting_bytes, dropped.size(), dropped.size() == 1 ? "was" : "were"));
    }
}

void A2aPush::forget(std::string_view tenant, std::string_view task, std::string_view hook) {
    const std::scoped_lock lock(mutex_);
    const auto found = queues_.find(key_of(tenant, task, hook));
    if (found == queues_.end()) return;
    for (const Waiting &waiting : found->second.waiting) count_out(found->second, waiting);
    found->second.waiting.clear();
    if (!found->second.busy) queues_.erase(found);
}

bool A2aPush::idle() const {
    const std::scoped_lock lock(mutex_);
    return queues_.empty();
}

// --- sending ---

std::map<A2aPush::Key, A2aPush::Queue>::iterator A2aPush::next_due() {
    const auto now = Clock::now();
    return std::ranges::find_if(queues_, [&](const auto &entry) { return !entry.second.busy && entry.second.due <= now; });
}

// `id` was being sent; it may have been dropped meanwhile.
void A2aPush::settle(const Key &key, std::int64_t id, Outcome outcome) {
    const auto found = queues_.find(key);
    if (found == queues_.end()) return;
    Queue &queue = found->second;
    queue.busy = false;
    if (outcome == Outcome::again) {
        const int doublings = std::min(queue.attempts++, kMostDoublings);
        queue.due = Clock::now() + std::min<std::chrono::milliseconds>(options_.first_retry * (1 << doublings), kLongestPause);
    } else {
        queue.attempts = 0;
        queue.due = {};
        if (!queue.waiting.empty() && queue.waiting.front().id == id) {
            count_out(queue, queue.waiting.front());
            queue.waiting.pop_front();
        }
    }
    if (queue.waiting.empty()) queues_.erase(found);
}

A2aPush::Outcome A2aPush::deliver(http::Fetcher &fetcher, const Waiting &first, const std::stop_token &stop) {
    auto stored = store_.notification(first.id);
    if (stored && !*stored) return Outcome::over;  // forgotten
    std::string trouble;
    bool final = false;
    if (stored) {
        const std::string url = (*stored)->hook.url;
        const auto reply = fetcher.send(post_of((*stored)->hook, std::move((*stored)->body), options_.allow_private), stop,
                                        [](const http::FetchReply &, std::string_view) { return true; });
        if (reply && reply->status / 100 == 2) {
            remove(first.id);
            return Outcome::over;
        }
        trouble = reply ? std::format("{} answered {}", url, reply->status) : reply.error().message;
        // An address that isn't allowed doesn't come to be allowed.
        final = reply ? is_refusal(reply->status) : reply.error().code == ErrorCode::invalid_argument;
    } else {
        trouble = stored.error().message;
        final = stored.error().code == ErrorCode::corrupt;
    }
    if (stop.stop_requested()) return Outcome::again;
    if (!final && system_clock().wall_ms() - first.created_ms < kLifeMs) return Outcome::again;
    remove(first.id);
    warn(std::format("a notification of an A2A task was given up: {}", trouble));
    return Outcome::over;
}

void A2aPush::work(const std::stop_token &stop) {
    auto fetcher = http::Fetcher::create();
    if (!fetcher) return warn(fetcher.error().message);
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
        const Waiting first = due->second.waiting.front();
        lock.unlock();
        const Outcome outcome = deliver(*fetcher, first, stop);
        lock.lock();
        settle(key, first.id, outcome);
    }
}

}  // namespace engram::server
