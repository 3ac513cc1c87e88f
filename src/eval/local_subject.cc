// A local model: one agent for each conversation, a fork of it for each question.
#include <algorithm>
#include <format>

#include "chat/conversation.h"
#include "engine/model.h"
#include "eval/eval.h"

namespace engram::eval {
namespace {

constexpr std::uint32_t kLeastContext = 256;
constexpr std::string_view kFork = "question";

// The leading system message is the agent's system prompt.
bool has_system(const Conversation &conversation) {
    return !conversation.messages.empty() && conversation.messages.front().role == "system";
}

// Cells that the longest conversation with its longest question and answer takes, and how many one batch brings.
Result<std::uint32_t> cells_needed(const ModelOptions &options, const Suite &suite) {
    ENGRAM_ASSIGN(const auto model, Model::load(options, nullptr, nullptr));
    ENGRAM_ASSIGN(const auto chat,
                  ChatTemplate::create(model->chat_template(),
                                       {.bos = model->bos_text(), .eos = model->eos_text(), .adds_bos = model->adds_bos()}));
    std::size_t most = kLeastContext;
    for (const Conversation &conversation : suite.conversations) {
        std::vector<TemplateMessage> messages;
        for (const Message &message : conversation.messages) {
            messages.push_back({.role = message.role, .content = message.content, .tool_calls = message.tool_calls});
        }
        std::size_t answer = 0;
        std::string question;
        for (const Question &asked : conversation.questions) {
            answer = std::max<std::size_t>(answer, asked.max_tokens);
            if (asked.content.size() > question.size()) question = asked.content;
        }
        // What the template can't render fails when it is told; what counts here is the size.
        const auto told = chat->render(messages, true, conversation.tools);
        if (!told) continue;
        const std::size_t tokens = model->tokenise(*told, true, true).size() + model->tokenise(question, false, true).size();
        most = std::max(most, tokens + answer + 64);  // and what the template puts around the question
    }
    return static_cast<std::uint32_t>((most + kLeastContext - 1) / kLeastContext * kLeastContext);
}

class LocalSubject final : public Subject {
  public:
    LocalSubject(std::unique_ptr<AgentManager> manager, bool cold, bool keep)
        : manager_(std::move(manager)), cold_(cold), keep_(keep) {}

    Result<void> tell(const Conversation &conversation) override {
        if (!agent_.empty() && !keep_) ENGRAM_TRY(manager_->remove(agent_));
        agent_ = std::format("conversation-{}", ++told_);
        const bool system = has_system(conversation);
        AgentSpec spec{.id = agent_, .system_prompt = {}, .description = conversation.id, .tools = conversation.tools};
        if (system) spec.system_prompt = conversation.messages.front().content;
        ENGRAM_TRY(manager_->create(spec));
        const auto messages = std::span(conversation.messages).subspan(system ? 1 : 0);
        if (messages.empty()) return {};
        ENGRAM_ASSIGN(const TurnResult result, manager_->append(agent_, messages));
        read_tokens_ += result.computed_tokens;
        read_ms_ += result.prefill_ms;
        return cold_ ? manager_->evict(agent_, AgentManager::EvictTo::disk) : Result<void>();
    }

    Result<Reply> ask(const Question &question, const std::stop_token &stop) override {
        ENGRAM_TRY(manager_->fork(agent_, kFork));
        auto result = manager_->generate(
            kFork,
            {.prompt = question.content, .role = question.role, .max_tokens = question.max_tokens, .sampling = {}, .stop = stop});
        ENGRAM_TRY(manager_->remove(kFork));
        if (!result) return std::unexpected(std::move(result.error()));
        if (result->finish == "cancelled") return fail(ErrorCode::cancelled, "the evaluation was stopped");
        return Reply{.answer = answer_of(result->text),
                     .raw = result->text,
                     .finish = result->finish,
                     .prompt_tokens = result->prompt_tokens,
                     .reused_tokens = result->reused_tokens,
                     .tier = result->tier,
                     .ttft_ms = result->ttft_ms};
    }

    std::optional<double> prefill_tokens_per_s() const override {
        if (read_ms_ <= 0) return std::nullopt;
        return static_cast<double>(read_tokens_) * 1000.0 / read_ms_;
    }

    // What the model's template can't render says nothing about other conversations; any other error is one of the machine.
    bool goes_on_after(ErrorCode code) const override {
        return code == ErrorCode::unsupported || code == ErrorCode::invalid_argument;
    }
    std::uint32_t most_failures() const override { return UINT32_MAX; }

  private:
    std::unique_ptr<AgentManager> manager_;
    const bool cold_, keep_;
    std::string agent_;  // of the conversation that was told last
    std::uint64_t told_ = 0;
    std::uint64_t read_tokens_ = 0;
    double read_ms_ = 0;
};

}  // namespace

Result<std::unique_ptr<Subject>> local_subject(LocalOptions options, const Suite &suite) {
    ENGRAM_ASSIGN(options.manager.model.context_tokens, cells_needed(options.manager.model, suite));
    options.manager.model.max_running = 1;
    ENGRAM_ASSIGN(auto manager, AgentManager::open(std::move(options.manager)));
    return std::make_unique<LocalSubject>(std::move(manager), options.cold, options.keep);
}

}  // namespace engram::eval
