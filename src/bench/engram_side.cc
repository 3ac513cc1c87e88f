// `engram serve`, asked for chat completions by a client that knows nothing about it.
#include <format>
#include <sstream>
#include <utility>

#include "bench/record.h"
#include "bench/side.h"

namespace engram::bench {

namespace {

class EngramSide final : public Side {
  public:
    using Side::Side;

    std::string_view name() const override { return kEngram; }
    std::filesystem::path memory_folder() const override { return options_.folder / "home"; }

    Result<Answer> say(Conversation &conversation, const OrderedJson &added, std::uint32_t max_tokens) override {
        http::FetchReply head;
        ENGRAM_ASSIGN(Answer answer, chat_turn(conversation, added, max_tokens, head));
        const std::string_view agent = head.header("x-engram-agent");
        if (agent.empty()) return answer;  // it had to wait
        answer.tier = head.header("x-engram-tier");
        if (const std::string ms(head.header("x-engram-restore-ms")); !ms.empty()) answer.restore_ms = std::stod(ms);
        conversation.agent = agent;
        return answer;
    }

    Result<std::uint64_t> count_tokens(const std::string &text) override {
        ENGRAM_ASSIGN(const OrderedJson json, client_->post("/v1/tokenize", {{"text", text}}));
        return json["tokens"].size();
    }

    Result<void> move(Conversation &conversation, Memory to) override {
        if (to == Memory::context) return {};
        return act(conversation, "evict", {{"to", to == Memory::host ? "memory" : "disk"}});
    }

    Result<Saved> save(Conversation &conversation) override {
        const auto start = SteadyClock::now();
        ENGRAM_TRY(act(conversation, "save", OrderedJson::object()));
        const double ms = ms_since(start);
        ENGRAM_ASSIGN(const double total, written());
        // Most of it was written while the answer was made. The counter begins anew with the process.
        const double before = std::exchange(written_, total);
        return Saved{.ms = ms, .bytes = static_cast<std::uint64_t>(total < before ? total : total - before)};
    }

    Result<void> leave(Conversation &) override { return {}; }  // nothing has to be done

    Result<void> forget(Conversation &conversation) override {
        ENGRAM_TRY(client_->remove("/v1/agents/" + conversation.agent));
        conversation.said = OrderedJson::array();
        return {};
    }

  protected:
    std::string health_path() const override { return "/health/ready"; }

    std::vector<std::string> command(std::uint16_t port) const override {
        std::vector<std::string> words{options_.program,  "serve",
                                       "--home",          memory_folder(),
                                       "--model",         options_.model,
                                       "--model-name",    "bench",
                                       "--port",          std::to_string(port),
                                       "--context",       std::to_string(options_.context_tokens),
                                       "--max-running",   std::to_string(options_.slots),
                                       "--threads",       std::to_string(options_.threads),
                                       "--kv-type",       options_.kv_type,
                                       "--memory-budget", "8G",
                                       "--disk-budget",   "64G",
                                       "--max-waiting",   std::to_string(options_.waiting)};
        words.insert(words.end(), options_.more.begin(), options_.more.end());
        return words;
    }

  private:
    Result<void> act(const Conversation &conversation, const std::string &what, const OrderedJson &body) {
        ENGRAM_TRY(client_->post(std::format("/v1/agents/{}/{}", conversation.agent, what), body));
        return {};
    }

    Result<double> written() {
        ENGRAM_ASSIGN(const std::string metrics, client_->text("/metrics"));
        std::istringstream lines(metrics);
        for (std::string line; std::getline(lines, line);) {
            if (line.starts_with("engram_written_bytes_total")) return std::stod(line.substr(line.rfind(' ') + 1));
        }
        return fail(ErrorCode::internal, "the metrics don't say what was written");
    }

    double written_ = 0;  // bytes, until the last save
};

}  // namespace

std::unique_ptr<Side> engram_side(SideOptions options) { return std::make_unique<EngramSide>(std::move(options)); }

}  // namespace engram::bench
