#include "bench/side.h"

#include <algorithm>
#include <format>
#include <fstream>
#include <thread>

namespace engram::bench {

namespace {

constexpr std::chrono::seconds kStartPatience{300};
constexpr std::chrono::seconds kStopPatience{120};
constexpr std::chrono::milliseconds kAskEvery{10};

// The last words of a log.
std::string end_of(const std::filesystem::path &file) {
    constexpr std::streamoff kBytes = 400;
    std::ifstream in(file, std::ios::binary | std::ios::ate);
    const std::streamoff size = in ? static_cast<std::streamoff>(in.tellg()) : 0;
    in.seekg(std::max<std::streamoff>(0, size - kBytes));
    return {std::istreambuf_iterator<char>(in), {}};
}

// What one frame of a streamed chat completion adds to the answer.
void read_frame(const OrderedJson &json, double now, Answer &answer) {
    static const OrderedJson::json_pointer kContent("/choices/0/delta/content");
    static const OrderedJson::json_pointer kCached("/usage/prompt_tokens_details/cached_tokens");
    if (const auto usage = json.find("usage"); usage != json.end() && usage->is_object()) {
        answer.prompt_tokens = usage->value("prompt_tokens", std::uint64_t{0});
        answer.answer_tokens = usage->value("completion_tokens", std::uint64_t{0});
        if (json.contains(kCached)) answer.cached_tokens = json[kCached].get<std::uint64_t>();
    }
    if (!json.contains(kContent) || !json[kContent].is_string()) return;
    const std::string text = json[kContent].get<std::string>();
    if (text.empty()) return;
    answer.token_ms.push_back(now);
    answer.text += text;
}

// Messages as they are compared: servers differ in the white space around answers.
std::string spoken(const OrderedJson &messages) {
    constexpr std::string_view kSpace = " \t\r\n";
    std::string text;
    for (const OrderedJson &message : messages) {
        const std::string content = message.value("content", std::string());
        const std::size_t first = std::min(content.find_first_not_of(kSpace), content.size());
        text += std::format("{}: {}\n", message.value("role", std::string()),
                            content.substr(first, content.find_last_not_of(kSpace) + 1 - first));
        if (message.contains("tool_calls")) text += message["tool_calls"].dump() + "\n";
    }
    return text;
}

}  // namespace

std::vector<double> Answer::gaps_ms() const {
    std::vector<double> gaps;
    for (std::size_t i = 1; i < token_ms.size(); ++i) gaps.push_back(token_ms[i] - token_ms[i - 1]);
    return gaps;
}

OrderedJson user_message(const std::string &text) {
    OrderedJson message = OrderedJson::object();
    message["role"] = "user";
    message["content"] = text;
    return message;
}

OrderedJson all_messages(const Conversation &conversation, const OrderedJson &added) {
    OrderedJson messages = OrderedJson::array();
    if (!conversation.system.empty()) messages.push_back({{"role", "system"}, {"content", conversation.system}});
    for (const OrderedJson &message : conversation.said) messages.push_back(message);
    for (const OrderedJson &message : added) messages.push_back(message);
    return messages;
}

OrderedJson messages_json(const Conversation &conversation, const std::string &user) {
    OrderedJson added = OrderedJson::array();
    added.push_back(user_message(user));
    return all_messages(conversation, added);
}

Result<Answer> Side::turn(Conversation &conversation, const std::string &user, std::uint32_t max_tokens) {
    OrderedJson added = OrderedJson::array();
    added.push_back(user_message(user));
    return say(conversation, added, max_tokens);
}

void Side::remember(Conversation &conversation, const OrderedJson &added, Answer &answer) const {
    for (const OrderedJson &message : added) conversation.said.push_back(message);
    if (options_.examined) answer.asked = spoken(conversation.said);
    conversation.said.push_back({{"role", "assistant"}, {"content", answer.text}});
}

Result<void> Side::start() {
    std::error_code error;
    std::filesystem::create_directories(memory_folder(), error);
    if (port_ == 0) {
        ENGRAM_ASSIGN(port_, free_port());
    }
    url_ = std::format("http://127.0.0.1:{}", port_);
    ENGRAM_ASSIGN(Process process, Process::start({.arguments = command(port_), .log = options_.folder / "log"}));
    process_.emplace(std::move(process));
    ENGRAM_ASSIGN(client_, Client::create(url_));
    return wait_until_ready();
}

Result<void> Side::wait_until_ready() {
    const auto until = SteadyClock::now() + kStartPatience;
    while (!client_->text(health_path())) {
        if (!process_->alive() || SteadyClock::now() > until) {
            return fail(ErrorCode::io, std::format("{} did not start: {}", options_.program, end_of(options_.folder / "log")));
        }
        std::this_thread::sleep_for(kAskEvery);
    }
    return {};
}

Result<Answer> Side::chat_turn(Conversation &conversation, const OrderedJson &added, std::uint32_t max_tokens,
                               http::FetchReply &head) {
    OrderedJson body{{"model", "bench"}, {"messages", all_messages(conversation, added)}, {"max_tokens", max_tokens}};
    if (!conversation.tools.empty()) body["tools"] = conversation.tools;
    // Compared are texts: nobody calls.
    if (options_.examined && !conversation.tools.empty()) body["tool_choice"] = "none";
    body["temperature"] = 0;
    body["stream"] = true;
    body["stream_options"] = {{"include_usage", true}};
    if (conversation.reports) body["engram"] = true;
    Answer answer;
    std::string failure;
    const auto start = SteadyClock::now();
    const auto take = [&](const http::ServerEvent &event) {
        const double now = ms_since(start);
        const OrderedJson json = OrderedJson::parse(event.data, nullptr, false);
        if (!json.is_object()) return;  // "[DONE]"
        if (json.contains("error")) failure = json.dump();
        if (const auto report = json.find("engram"); report != json.end() && report->is_object() && report->contains("agent")) {
            conversation.agent = report->value("agent", std::string());
            answer.tier = report->value("tier", std::string());
        }
        read_frame(json, now, answer);
    };
    ENGRAM_ASSIGN(head, conversation.client->stream("/v1/chat/completions", body, take));
    if (!failure.empty()) return fail(ErrorCode::io, std::format("an answer broke off: {}", failure));
    answer.total_ms = ms_since(start);
    answer.ttft_ms = answer.token_ms.empty() ? answer.total_ms : answer.token_ms.front();
    remember(conversation, added, answer);
    return answer;
}

void Side::stop() {
    if (process_) process_->end(kStopPatience);
    process_.reset();
}

Result<void> Side::restart_with(std::vector<std::string> flags) {
    stop();
    options_.more = std::move(flags);
    return start();
}

void Side::kill() {
    if (process_) process_->kill();
    process_.reset();
}

OrderedJson Side::configuration() const {
    return {{"context_tokens", options_.context_tokens},
            {"slots", options_.slots},
            {"threads", options_.threads},
            {"kv_type", options_.kv_type}};
}

Result<Conversation> Side::converse(std::string name, std::string system) const {
    Conversation conversation{.name = std::move(name), .system = std::move(system)};
    ENGRAM_ASSIGN(conversation.client, Client::create(url_));
    return conversation;
}

std::uint64_t Side::disk_bytes() const {
    std::uint64_t bytes = 0;
    std::error_code ignored;
    for (const auto &entry : std::filesystem::recursive_directory_iterator(memory_folder(), ignored)) {
        if (entry.is_regular_file(ignored)) bytes += entry.file_size(ignored);
    }
    return bytes;
}

}  // namespace engram::bench
