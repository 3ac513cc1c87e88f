// A server that speaks the OpenAI protocol: one chat completion for each question, the whole conversation in it.
#include <format>

#include "chat/bounded_json.h"
#include "eval/eval.h"
#include "http/fetch.h"

namespace engram::eval {
namespace {

constexpr std::uint32_t kMostFailures = 10;  // one after the other

// Calls as the wire has them, each with an id, and arguments as a text; results name the calls before them in order.
class WireMessages {
  public:
    Result<void> add(const Message &message) {
        OrderedJson wire{{"role", message.role}, {"content", message.content}};
        if (message.role == "assistant") unanswered_.clear();
        ENGRAM_ASSIGN(const std::vector<ToolCall> calls, parse_tool_calls(message.tool_calls));
        for (const ToolCall &call : calls) {
            unanswered_.push_back(std::format("call{:05}", made_++));
            wire["tool_calls"].push_back({{"id", unanswered_.back()},
                                          {"type", "function"},
                                          {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
        }
        if (message.role == "tool" && !unanswered_.empty()) {
            wire["tool_call_id"] = unanswered_.front();
            unanswered_.erase(unanswered_.begin());
        }
        list_.push_back(std::move(wire));
        return {};
    }
    OrderedJson list() && { return std::move(list_); }

  private:
    OrderedJson list_ = OrderedJson::array();
    std::vector<std::string> unanswered_;
    std::size_t made_ = 0;
};

const OrderedJson *member(const OrderedJson &object, const char *name) {
    const auto found = object.find(name);  // the end when it is no object
    return found == object.end() ? nullptr : &*found;
}

std::string text_member(const OrderedJson &object, const char *name) {
    const OrderedJson *found = member(object, name);
    return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
}

// The beginning of a body, for a sentence about it.
std::string beginning(const std::string &body) {
    std::string line = body.substr(0, std::min(body.find_first_of("\r\n"), std::size_t{200}));
    return line.empty() ? "(nothing)" : line;
}

class ServerSubject final : public Subject {
  public:
    ServerSubject(ServerOptions options, http::Fetcher fetcher) : options_(std::move(options)), fetcher_(std::move(fetcher)) {}

    Result<void> tell(const Conversation &conversation) override {
        conversation_ = &conversation;
        return {};
    }

    Result<Reply> ask(const Question &question, const std::stop_token &stop) override {
        http::FetchRequest asked{.url = options_.url + "/chat/completions", .headers = {{"Content-Type", "application/json"}}};
        if (!options_.api_key.empty()) asked.headers.emplace_back("Authorization", "Bearer " + options_.api_key);
        asked.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(options_.timeout_s * 1000));
        ENGRAM_ASSIGN(asked.body, request(question));
        ENGRAM_ASSIGN(const http::FetchReply reply, fetcher_.send(asked, stop));
        if (reply.status < 200 || reply.status > 299) {
            return fail(ErrorCode::io,
                        std::format("{} answered with status {}: {}", options_.url, reply.status, beginning(reply.body)));
        }
        const auto parsed = parse_bounded_json(reply.body, http::kMaxReplyBytes);
        if (!parsed) {
            return fail(ErrorCode::io,
                        std::format("{} answered with something else than JSON: {}", options_.url, beginning(reply.body)));
        }
        return reply_of(*parsed);
    }

    std::optional<double> prefill_tokens_per_s() const override {
        if (read_ms_ <= 0) return std::nullopt;
        return read_tokens_ * 1000.0 / read_ms_;
    }
    bool goes_on_after(ErrorCode code) const override { return code == ErrorCode::io; }
    std::uint32_t most_failures() const override { return kMostFailures; }

  private:
    Result<std::string> request(const Question &question) const {
        WireMessages messages;
        for (const Message &message : conversation_->messages) ENGRAM_TRY(messages.add(message));
        ENGRAM_TRY(messages.add({.role = question.role, .content = question.content}));
        OrderedJson json{
            {"messages", std::move(messages).list()}, {"temperature", 0}, {"max_tokens", question.max_tokens}, {"stream", false}};
        if (!options_.model.empty()) json["model"] = options_.model;
        if (!conversation_->tools.empty()) json["tools"] = OrderedJson::parse(conversation_->tools, nullptr, false);
        return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    }

    Result<Reply> reply_of(const OrderedJson &json) {
        const OrderedJson *choices = member(json, "choices");
        const bool chosen = choices != nullptr && choices->is_array() && !choices->empty();
        const OrderedJson *found = chosen ? member(choices->front(), "message") : nullptr;
        if (found == nullptr || !found->is_object()) {
            return fail(ErrorCode::io, std::format("{} answered without a message: {}", options_.url, beginning(json.dump())));
        }
        const OrderedJson &message = *found;
        Reply reply;
        reply.raw = text_member(message, "content");
        reply.answer = answer_of(reply.raw);  // a server that knows no tools leaves calls in the text
        if (const OrderedJson *calls = member(message, "tool_calls"); calls != nullptr && calls->is_array() && !calls->empty()) {
            auto parsed = parse_tool_calls(calls->dump());
            if (parsed) {
                reply.answer.calls = *std::move(parsed);
            } else {
                reply.answer.malformed = std::move(parsed.error().message);
            }
            reply.raw += (reply.raw.empty() ? "" : "\n") + calls->dump();
        }
        const std::string finish = text_member(choices->front(), "finish_reason");
        reply.finish = finish == "tool_calls" ? "stop" : finish;
        note_cost(json, reply);
        return reply;
    }

    // What servers say about it: tokens as the protocol has them, and llama.cpp's own times.
    void note_cost(const OrderedJson &json, Reply &reply) {
        const auto number = [&](const char *path) {
            const OrderedJson::json_pointer at(path);
            return json.contains(at) && json[at].is_number() ? json[at].get<double>() : 0.0;
        };
        const double tokens = number("/usage/prompt_tokens");
        if (tokens > 0 && tokens < 1e9) reply.prompt_tokens = static_cast<std::uint64_t>(tokens);
        read_tokens_ += number("/timings/prompt_n");
        read_ms_ += number("/timings/prompt_ms");
    }

    ServerOptions options_;
    http::Fetcher fetcher_;
    const Conversation *conversation_ = nullptr;
    double read_tokens_ = 0, read_ms_ = 0;
};

}  // namespace

Result<std::unique_ptr<Subject>> server_subject(ServerOptions options) {
    while (options.url.ends_with('/')) options.url.pop_back();
    ENGRAM_TRY(http::check_url(options.url));
    ENGRAM_ASSIGN(http::Fetcher fetcher, http::Fetcher::create());
    return std::make_unique<ServerSubject>(std::move(options), std::move(fetcher));
}

}  // namespace engram::eval
