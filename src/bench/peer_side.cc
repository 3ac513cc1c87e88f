// llama-server, asked for completions of exact tokens by a client that saves and restores its slots.
#include <format>

#include "bench/record.h"
#include "bench/side.h"

namespace engram::bench {

namespace {

// Stands for an answer in a rendered conversation, so that what the template puts behind one can be cut out.
constexpr std::string_view kMark = "MARKOFTHEANSWER";

// Tokens computed at a time, at most: the peer's own defaults, said so that records can name them.
constexpr std::uint32_t kBatchTokens = 2048;
constexpr std::uint32_t kMicroBatchTokens = 512;

constexpr std::uint32_t kChoices = 20;  // that are told of each token where answers are compared

// Of the models that answers are compared with.
constexpr std::string_view kCallOpening = "<tool_call>";

TokenOdds::Choice choice_of(const OrderedJson &json) {
    TokenOdds::Choice choice;
    if (const auto bytes = json.find("bytes"); bytes != json.end() && bytes->is_array()) {
        for (const OrderedJson &byte : *bytes) choice.piece += static_cast<char>(byte.get<int>());
    }
    if (const auto value = json.find("logprob"); value != json.end() && value->is_number()) choice.logprob = value->get<double>();
    return choice;
}

TokenOdds odds_of(const OrderedJson &json) {
    TokenOdds odds{.said = choice_of(json)};
    const auto others = json.find("top_logprobs");
    if (others == json.end() || !others->is_array()) return odds;
    for (const OrderedJson &other : *others) {
        odds.others.push_back(choice_of(other));
        // The token's own bytes are those that were sent, which lack what is held back and have what was.
        if (other.value("id", -1) == json.value("id", -2)) odds.said = odds.others.back();
    }
    // What was more probable than what was said wasn't allowed.
    std::erase_if(odds.others, [&](const TokenOdds::Choice &other) { return other.logprob > odds.said.logprob; });
    return odds;
}

class PeerSide final : public Side {
  public:
    using Side::Side;

    std::string_view name() const override { return options_.label.empty() ? kPeer : std::string_view(options_.label); }
    std::filesystem::path memory_folder() const override { return options_.folder / "slots"; }

    Result<Answer> say(Conversation &conversation, const OrderedJson &added, std::uint32_t max_tokens) override {
        if (plain_) {
            http::FetchReply head;
            return chat_turn(conversation, added, max_tokens, head);
        }
        ENGRAM_ASSIGN(std::vector<std::int32_t> following, added_tokens(conversation, added));
        // The end of a turn that the model has said itself isn't said again.
        if (!conversation.tokens.empty() && !following.empty() && conversation.tokens.back() == following.front())
            following.erase(following.begin());
        conversation.tokens.insert(conversation.tokens.end(), following.begin(), following.end());
        OrderedJson body{{"prompt", conversation.tokens}, {"n_predict", max_tokens}, {"temperature", 0}, {"stream", true}};
        body["return_tokens"] = true;
        body["cache_prompt"] = true;
        if (options_.examined) ENGRAM_TRY(examine(conversation, body));
        if (conversation.slot) body["id_slot"] = *conversation.slot;
        Answer answer{.prompt_tokens = conversation.tokens.size()};
        const auto start = SteadyClock::now();
        if (conversation.in_file) {
            ENGRAM_TRY(restore(conversation));
            answer.restore_ms = ms_since(start);
        }
        std::string failure;
        const auto take = [&](const http::ServerEvent &event) {
            const double now = ms_since(start);
            const OrderedJson json = OrderedJson::parse(event.data, nullptr, false);
            if (!json.is_object()) return;
            if (json.contains("error")) failure = json.dump();
            read_piece(json, now, answer, conversation.tokens);
        };
        ENGRAM_TRY(conversation.client->stream("/completion", body, take));
        if (!failure.empty()) return fail(ErrorCode::io, std::format("an answer broke off: {}", failure));
        answer.total_ms = ms_since(start);
        answer.ttft_ms = answer.token_ms.empty() ? answer.total_ms : answer.token_ms.front();
        remember(conversation, added, answer);
        return answer;
    }

    Result<std::uint64_t> count_tokens(const std::string &text) override {
        ENGRAM_ASSIGN(const std::vector<std::int32_t> tokens, tokenise(text, false));
        return tokens.size();
    }

    Result<void> move(Conversation &conversation, Memory to) override {
        if (to == Memory::context) return {};
        if (to == Memory::host) {
            // Another prompt takes the slot: the server moves what was there to its cache in host memory.
            const OrderedJson other{{"prompt", "Somebody else asks something short."}, {"n_predict", 1}, {"cache_prompt", true}};
            ENGRAM_TRY(client_->post("/completion", other));
            return {};
        }
        ENGRAM_TRY(leave(conversation));
        ENGRAM_TRY(client_->post(slot_path(conversation, "erase"), OrderedJson::object()));
        return {};
    }

    Result<Saved> save(Conversation &conversation) override {
        const auto start = SteadyClock::now();
        ENGRAM_ASSIGN(const OrderedJson done, client_->post(slot_path(conversation, "save"), file_json(conversation)));
        return Saved{.ms = ms_since(start), .bytes = done.value("n_written", std::uint64_t{0})};
    }

    Result<void> leave(Conversation &conversation) override {
        if (plain_) return {};
        ENGRAM_TRY(save(conversation));
        conversation.in_file = true;
        return {};
    }

    Result<void> forget(Conversation &conversation) override {
        ENGRAM_TRY(client_->post(slot_path(conversation, "erase"), OrderedJson::object()));
        conversation.said = OrderedJson::array();
        conversation.tokens.clear();
        conversation.in_file = false;
        return {};
    }

    void ask_plainly() override {
        plain_ = true;
        options_.more.clear();
    }

    OrderedJson configuration() const override {
        OrderedJson json = Side::configuration();
        json["huge_pages"] = options_.huge_pages;
        std::string flags = "--flash-attn on --kv-unified --cache-ram 8192 --slot-save-path";
        for (const std::string &word : options_.more) flags += " " + word;
        json["flags"] = flags;
        json["batch_tokens"] = kBatchTokens;
        json["micro_batch_tokens"] = kMicroBatchTokens;
        return json;
    }

  protected:
    std::string health_path() const override { return "/health"; }

    std::vector<std::string> command(std::uint16_t port) const override {
        std::vector<std::string> words{options_.program,
                                       "--model",
                                       options_.model,
                                       "--host",
                                       "127.0.0.1",
                                       "--port",
                                       std::to_string(port),
                                       "--ctx-size",
                                       std::to_string(options_.context_tokens),
                                       "--parallel",
                                       std::to_string(options_.slots),
                                       "--threads",
                                       std::to_string(options_.threads),
                                       "--cache-type-k",
                                       options_.kv_type,
                                       "--cache-type-v",
                                       options_.kv_type,
                                       "--flash-attn",
                                       "on",
                                       "--kv-unified",
                                       "--cache-ram",
                                       "8192",
                                       "--batch-size",
                                       std::to_string(kBatchTokens),
                                       "--ubatch-size",
                                       std::to_string(kMicroBatchTokens),
                                       "--threads-http",
                                       std::to_string(options_.slots + options_.waiting),
                                       "--no-webui",
                                       "--slot-save-path",
                                       memory_folder().string() + "/"};
        words.insert(words.end(), options_.more.begin(), options_.more.end());
        if (options_.huge_pages) words.insert(words.begin(), {"env", "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"});
        return words;
    }

  private:
    bool plain_ = false;

    static std::string slot_path(const Conversation &conversation, std::string_view action) {
        return std::format("/slots/{}?action={}", conversation.slot.value_or(0), action);
    }
    static OrderedJson file_json(const Conversation &conversation) { return {{"filename", conversation.name + ".slot"}}; }

    // Answers are compared: nobody calls a tool, and each token says what else was probable.
    Result<void> examine(const Conversation &conversation, OrderedJson &body) {
        body["n_probs"] = kChoices;
        if (conversation.tools.empty()) return {};
        ENGRAM_ASSIGN(const std::vector<std::int32_t> opening, tokenise(std::string(kCallOpening), false));
        if (opening.size() != 1) return {};
        OrderedJson never = OrderedJson::array();
        never.push_back(opening.front());
        never.push_back(false);
        body["logit_bias"] = OrderedJson::array();
        body["logit_bias"].push_back(std::move(never));
        return {};
    }

    Result<void> restore(Conversation &conversation) {
        ENGRAM_TRY(conversation.client->post(slot_path(conversation, "restore"), file_json(conversation)));
        conversation.in_file = false;
        return {};
    }

    Result<std::vector<std::int32_t>> tokenise(const std::string &text, bool first) {
        ENGRAM_ASSIGN(const auto client, Client::create(url_));
        ENGRAM_ASSIGN(const OrderedJson json,
                      client->post("/tokenize", {{"content", text}, {"add_special", first}, {"parse_special", true}}));
        return json["tokens"].get<std::vector<std::int32_t>>();
    }

    Result<std::string> rendered(const Conversation &conversation, const OrderedJson &added) {
        OrderedJson body = OrderedJson::object();
        body["messages"] = all_messages(conversation, added);
        if (!conversation.tools.empty()) body["tools"] = conversation.tools;
        ENGRAM_ASSIGN(const auto client, Client::create(url_));
        ENGRAM_ASSIGN(const OrderedJson json, client->post("/apply-template", body));
        return json["prompt"].get<std::string>();
    }

    // What the template puts behind the last answer's text for the next turn; all of it for the first.
    Result<std::vector<std::int32_t>> added_tokens(const Conversation &conversation, const OrderedJson &added) {
        if (conversation.said.empty()) {
            ENGRAM_ASSIGN(const std::string text, rendered(conversation, added));
            return tokenise(text, true);
        }
        Conversation last{.name = {}, .system = conversation.system};
        last.tools = conversation.tools;
        last.said.push_back(user_message("x"));
        last.said.push_back({{"role", "assistant"}, {"content", kMark}});
        ENGRAM_ASSIGN(const std::string text, rendered(last, added));
        const std::size_t mark = text.find(kMark);
        if (mark == std::string::npos) return fail(ErrorCode::unsupported, "the chat template leaves answers out of its prompts");
        return tokenise(text.substr(mark + kMark.size()), false);
    }

    static void read_piece(const OrderedJson &json, double now, Answer &answer, std::vector<std::int32_t> &tokens) {
        const std::string text = json.value("content", std::string());
        if (const auto ids = json.find("tokens"); ids != json.end() && ids->is_array()) {
            for (const OrderedJson &id : *ids) tokens.push_back(id.get<std::int32_t>());
            answer.answer_tokens += ids->size();
        }
        if (const auto timings = json.find("timings"); timings != json.end() && timings->is_object())
            answer.cached_tokens = timings->value("cache_n", std::uint64_t{0});
        if (const auto odds = json.find("completion_probabilities"); odds != json.end() && odds->is_array()) {
            for (const OrderedJson &token : *odds) answer.tokens.push_back(odds_of(token));
        }
        if (text.empty()) return;
        answer.token_ms.push_back(now);
        answer.text += text;
    }
};

}  // namespace

std::unique_ptr<Side> peer_side(SideOptions options) { return std::make_unique<PeerSide>(std::move(options)); }

}  // namespace engram::bench
