#include "a2a/client.h"

#include <algorithm>
#include <condition_variable>
#include <format>
#include <utility>

#include "a2a/exchange.h"
#include "core/random_name.h"
#include "http/url.h"
#include "protocol/a2a/write.h"

namespace engram::a2a {

using namespace protocol::a2a;
using protocol::Field;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::minutes kCardLife{10};
constexpr std::chrono::milliseconds kCardTimeout{10'000};
constexpr std::chrono::milliseconds kCancelTimeout{5'000};
constexpr std::chrono::milliseconds kFirstLook{200}, kLongestLook{5'000};
constexpr int kMostLost = 8;  // looks at a task, one after the other, that come to nothing
constexpr std::string_view kWellKnown = "/.well-known/agent-card.json";

// Where the card may be: at the address itself, under it, or where the server's is.
std::vector<std::string> card_places(const std::string &url) {
    if (url.ends_with(".json")) return {url};
    std::string base = url;
    while (base.ends_with('/')) base.pop_back();
    std::vector<std::string> places{base + std::string(kWellKnown)};
    const std::string of_server = http::resolve_url(url, std::string(kWellKnown));
    if (of_server != places.front()) places.push_back(of_server);
    return places;
}

SendRequest request_of(const Question &question, bool waits) {
    SendRequest request;
    request.message = {.id = random_name("msg-"), .context_id = question.context_id, .task_id = question.task_id};
    Part part{.kind = Part::Kind::text, .content = question.text};
    if (!question.data.empty()) part = {.kind = Part::Kind::data, .content = question.data, .media_type = "application/json"};
    request.message.parts.push_back(std::move(part));
    request.message.metadata = question.metadata;
    request.accepted_output_modes = {"text/plain", "application/json"};
    request.return_immediately = !waits;
    return request;
}

// One question until its answer.
class Asking {
  public:
    Asking(Exchange exchange, const ServerCard &card, const Hearing &hearing, const std::stop_token &stop)
        : exchange_(std::move(exchange)), card_(card), hearing_(hearing), stop_(stop) {}

    Result<Answer> go(const Question &question, Clock::time_point until);

  private:
    void take(const StreamEvent &event) {
        const std::string piece = answer_.take(event);
        if (hearing_.begun && !begun_ && !answer_.context_id().empty()) hearing_.begun(answer_.context_id());
        begun_ = begun_ || !answer_.context_id().empty();
        if (hearing_.text && !piece.empty()) hearing_.text(piece);
    }
    Result<void> send(const Question &question);
    Result<void> look_until_over(Clock::time_point until);
    Result<void> look();
    void wait(Clock::time_point until) const;
    void cancel();

    Exchange exchange_;
    const ServerCard &card_;
    const Hearing &hearing_;
    const std::stop_token &stop_;
    Answer answer_;
    bool begun_ = false;
};

// With a stream, or, where the server has none, by looking at the task from time to time: a request that waits until a task is
// done would keep nothing that could be cancelled. A task that goes on may be shown first as it was, waiting for this answer:
// then a stream isn't over, and without one only the server can wait.
Result<void> Asking::send(const Question &question) {
    const Interface &interface = card_.interfaces.front();
    const bool goes_on = !question.task_id.empty();
    const OrderedJson params = send_json(request_of(question, card_.streaming || goes_on), interface.version);
    if (!card_.streaming) {
        ENGRAM_ASSIGN(const OrderedJson json, exchange_.call(Method::send_message, params, stop_));
        const auto event = read_event(Field(json));
        if (!event)
            return fail(ErrorCode::io, std::format("{} said what can't be read: {}", interface.url, event.error().message));
        take(*event);
        return {};
    }
    bool as_it_was = goes_on;
    const auto taken = [&](const StreamEvent &event) {
        take(event);
        const bool first = std::exchange(as_it_was, false);
        return !answer_.over() || (first && is_interrupted(answer_.state()));
    };
    auto streamed = exchange_.stream(Method::send_streaming_message, params, taken, stop_);
    const bool has_task = !answer_.task_id().empty();  // a stream that breaks off leaves a task that can be looked at
    return has_task ? Result<void>() : streamed;
}

Result<void> Asking::look() {
    ENGRAM_ASSIGN(const OrderedJson json, exchange_.call(Method::get_task, {{"id", answer_.task_id()}}, stop_));
    const auto task = read_task(Field(json));
    if (!task) return fail(ErrorCode::io, std::format("what it says of a task can't be read: {}", task.error().message));
    take(*task);
    return {};
}

void Asking::wait(Clock::time_point until) const {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any stopped;
    stopped.wait_until(lock, stop_, until, [] { return false; });
}

Result<void> Asking::look_until_over(Clock::time_point until) {
    std::chrono::milliseconds pause = kFirstLook;
    for (int lost = 0; !answer_.over();) {
        if (stop_.stop_requested()) return fail(ErrorCode::cancelled, "it was stopped");
        if (Clock::now() >= until) return fail(ErrorCode::io, "the task took longer than its `timeout`");
        if (answer_.task_id().empty()) return fail(ErrorCode::io, "the stream ended before the answer was there");
        wait(std::min(until, Clock::now() + pause));
        pause = std::min(pause * 2, kLongestLook);
        const auto looked = look();
        if (!looked && (looked.error().code != ErrorCode::io || ++lost == kMostLost)) return looked;
        if (looked) lost = 0;
    }
    return {};
}

void Asking::cancel() {
    if (answer_.task_id().empty() || answer_.over()) return;
    static_cast<void>(exchange_.call(Method::cancel_task, {{"id", answer_.task_id()}}, {}));  // as well as it can be done
}

Result<Answer> Asking::go(const Question &question, Clock::time_point until) {
    auto done = send(question);
    if (done) done = look_until_over(until);
    if (done) return std::move(answer_);
    exchange_.extend(Clock::now() + kCancelTimeout);
    cancel();
    return std::unexpected(std::move(done.error()));
}

}  // namespace

Result<ServerCard> Client::fetch_card(const std::stop_token &stop) const {
    ENGRAM_ASSIGN(http::Fetcher fetcher, http::Fetcher::create());
    std::string last;
    for (const std::string &url : card_places(config_.url)) {
        http::FetchRequest request{.method = "GET", .url = url, .headers = headers_for(config_, url)};
        request.headers.emplace_back("A2A-Version", "1.0");
        request.headers.emplace_back("Accept", "application/json");
        request.timeout = kCardTimeout;
        ENGRAM_ASSIGN(const http::FetchReply reply, fetcher.send(request, stop));
        last = std::format("{} answered with HTTP status {}", url, reply.status);
        if (reply.status == 404) continue;
        if (reply.status / 100 != 2) break;
        const auto json = parse_bounded_json(reply.body, http::kMaxReplyBytes);
        if (!json) return fail(ErrorCode::io, std::format("{} is no card: {}", url, json.error().message));
        auto card = read_card(Field(*json));
        if (!card) return fail(ErrorCode::io, std::format("{} is no card: {}", url, card.error().message));
        for (Interface &interface : card->interfaces) interface.url = http::resolve_url(url, interface.url);
        std::erase_if(card->interfaces, [](const Interface &interface) { return http::parse_url(interface.url).host.empty(); });
        if (card->interfaces.empty()) {
            return fail(
                ErrorCode::unsupported,
                std::format("the card {} offers neither JSON-RPC nor HTTP+JSON in a version of A2A that is spoken here", url));
        }
        if (!card->required_extensions.empty()) {
            return fail(ErrorCode::unsupported, std::format("the card {} demands the extension {}, which isn't there here", url,
                                                            card->required_extensions.front()));
        }
        return std::move(*card);
    }
    return fail(ErrorCode::io, std::format("the card of {} can't be had: {}", config_.name, last));
}

Result<ServerCard> Client::card(const std::stop_token &stop) {
    {
        const std::scoped_lock lock(mutex_);
        if (card_ && Clock::now() < card_until_) return *card_;
    }
    ENGRAM_ASSIGN(ServerCard fetched, fetch_card(stop));
    const std::scoped_lock lock(mutex_);
    card_ = fetched;
    card_until_ = Clock::now() + kCardLife;
    return fetched;
}

Result<Answer> Client::ask(const Question &question, const Hearing &hearing, const std::stop_token &stop) {
    const Clock::time_point until = Clock::now() + config_.timeout;
    ENGRAM_ASSIGN(const ServerCard known, card(stop));
    ENGRAM_ASSIGN(http::Fetcher fetcher, http::Fetcher::create());
    Exchange exchange({.config = config_, .interface = known.interfaces.front(), .fetcher = std::move(fetcher), .until = until});
    return Asking(std::move(exchange), known, hearing, stop).go(question, until);
}

}  // namespace engram::a2a
