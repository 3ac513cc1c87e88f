#include "cli/turn.h"

#include <format>

#include "cli/humanise.h"
#include "cli/progress.h"

namespace engram::cli {
namespace {

void say_afterwards(const TurnResult &result, const Context &context) {
    if (!result.warning.empty()) {
        context.out.say(LogLevel::warn, result.warning);
    }
    if (result.miss) {
        context.out.say(LogLevel::info, std::format("memory from token {} on could not be used: {}",
                                                    human_count(result.miss->at_token), result.miss->reason));
    }
    context.out.say(LogLevel::info, turn_summary(result));
}

}  // namespace

Result<TurnResult> show_turn(AgentManager &manager, const std::string &agent, TurnRequest request, const Context &context) {
    Progress progress(context.out, "reading");
    std::string last;  // of what was printed; written by the manager's thread, read when generate has returned
    const bool stream = !context.out.json();
    request.on_prefill = [&](std::uint64_t done, std::uint64_t total) { progress.update(done, total); };
    request.on_text = [&](std::string_view piece) {
        progress.finish();
        if (stream && !piece.empty()) {
            context.out.print(context.out.terminal_out() ? printable(piece) : std::string(piece));
            last = piece.back();
        }
    };
    auto result = manager.generate(agent, request);
    progress.finish();
    if (stream && !last.empty() && last != "\n") {
        context.out.print("\n");
    }
    if (result) {
        say_afterwards(*result, context);
    }
    return result;
}

std::string turn_summary(const TurnResult &result) {
    std::string reused = "none reused";
    if (result.reused_tokens > 0) {
        reused = std::format("{} reused from {}", human_count(result.reused_tokens), result.tier);
        if (result.restored_bytes > 0) {
            reused += std::format(" ({} in {})", human_bytes(result.restored_bytes), human_ms(result.restore_ms));
        }
    }
    std::string text = std::format("prompt {} tokens, {}, first token after {}, {} tokens", human_count(result.prompt_tokens),
                                   reused, human_ms(result.ttft_ms), human_count(result.tokens.size()));
    if (result.decode_ms > 0 && result.tokens.size() > 1) {
        text += std::format(" at {:.1f}/s", static_cast<double>(result.tokens.size() - 1) * 1000 / result.decode_ms);
    }
    return text;
}

Result<AgentInfo> find_or_create(AgentManager &manager, const std::string &agent, bool create, const std::string &system_prompt) {
    auto info = manager.get(agent);
    if (info || info.error().code != ErrorCode::not_found) {
        return info;
    }
    if (!create) {
        return fail(
            ErrorCode::not_found,
            std::format("there is no agent \"{}\"; create it with `engram agent create {}`, or add --create", agent, agent));
    }
    return manager.create({.id = agent, .system_prompt = system_prompt, .description = {}});
}

}  // namespace engram::cli
