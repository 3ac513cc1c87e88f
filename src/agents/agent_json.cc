#include "agents/agent_json.h"

#include "chat/agent_card.h"

namespace engram {

using Json = nlohmann::ordered_json;

Json agent_json(const AgentInfo &info) {
    return {{"id", info.id},
            {"tenant", info.tenant},
            {"model", info.model},
            {"description", info.description},
            {"system_prompt", info.system_prompt},
            {"tools", info.tools.empty() ? Json::array() : Json::parse(info.tools, nullptr, false)},
            {"forked_from", info.forked_from},
            {"tokens", info.n_tokens},
            {"messages", info.n_messages},
            {"turns", info.n_turns},
            {"created_ms", info.created_ms},
            {"updated_ms", info.updated_ms},
            {"last_used_ms", info.last_used_ms},
            {"pinned", info.pinned},
            {"retention", retention_name(info.retention)},
            {"card", card_json(info.card)},
            {"conversation", info.conversation},
            {"session", info.session},
            {"expires_ms", info.expires_ms},
            {"tier", info.tier},
            {"disk_bytes", info.disk_bytes},
            {"disk_bytes_exclusive", info.disk_bytes_exclusive},
            {"memory_bytes", info.memory_bytes}};
}

Json transcript_json(std::span<const Message> messages) {
    Json list = Json::array();
    for (const Message &message : messages) {
        list.push_back({{"role", message.role}, {"content", message.content}, {"created_ms", message.created_ms}});
        if (!message.tool_calls.empty()) {
            list.back()["tool_calls"] = Json::parse(message.tool_calls, nullptr, false);
        }
    }
    return list;
}

Json turn_json(const std::string &agent, const TurnResult &result) {
    Json json{{"agent", agent},
              {"answer", result.text},
              {"finish", result.finish},
              {"answer_tokens", result.tokens.size()},
              {"prompt_tokens", result.prompt_tokens},
              {"reused_tokens", result.reused_tokens},
              {"computed_tokens", result.computed_tokens},
              {"tier", result.tier},
              {"restored_bytes", result.restored_bytes},
              {"restore_ms", result.restore_ms},
              {"prefill_ms", result.prefill_ms},
              {"ttft_ms", result.ttft_ms},
              {"decode_ms", result.decode_ms},
              {"commit_ms", result.commit_ms},
              {"queue_ms", result.queue_ms},
              {"miss", nullptr},
              {"committed", result.committed},
              {"warning", nullptr}};
    if (result.miss) {
        json["miss"] = {{"at_token", result.miss->at_token}, {"reason", result.miss->reason}};
    }
    if (!result.tool_calls.empty()) {
        json["tool_calls"] = Json::parse(result.tool_calls, nullptr, false);
    }
    if (!result.warning.empty()) {
        json["warning"] = result.warning;
    }
    return json;
}

}  // namespace engram
