#include "teams/held_calls.h"

#include <format>

#include "chat/bounded_json.h"

namespace engram {
namespace {

constexpr std::size_t kMaxBytes = 64UZ << 20U;  // of what this program wrote itself

std::string text_of(const HeldCall &call) {
    OrderedJson json = OrderedJson::object();
    if (call.allowed) json["allowed"] = *call.allowed;
    if (call.made) json["result"] = {{"text", call.text}, {"failed", call.failed}};
    if (!call.wait.calls.empty()) {
        OrderedJson calls = OrderedJson::array();
        for (const ChatToolCall &one : call.wait.calls) {
            calls.push_back({{"id", one.id}, {"name", one.name}, {"arguments", one.arguments}});
        }
        json["wait"] = {{"calls", std::move(calls)}, {"state", call.wait.state}};
    }
    return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string text_in(const OrderedJson &json, const char *name) {
    const auto found = json.is_object() ? json.find(name) : json.end();
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<HeldCall> call_of(const std::string &text) {
    const auto json = parse_bounded_json(text, kMaxBytes);
    if (!json || !json->is_object()) {
        return fail(ErrorCode::corrupt, "what teams.db says of a call that waits for a person can't be read");
    }
    HeldCall call;
    if (json->contains("allowed") && (*json)["allowed"].is_boolean()) call.allowed = (*json)["allowed"].get<bool>();
    if (const auto result = json->find("result"); result != json->end() && result->is_object()) {
        call.made = true;
        call.text = text_in(*result, "text");
        call.failed = result->value("failed", OrderedJson()) == true;
    }
    if (const auto wait = json->find("wait"); wait != json->end() && wait->is_object() && wait->contains("calls")) {
        call.wait.state = text_in(*wait, "state");
        for (const OrderedJson &one : (*wait)["calls"]) {
            call.wait.calls.push_back(
                {.id = text_in(one, "id"), .name = text_in(one, "name"), .arguments = text_in(one, "arguments")});
        }
    }
    return call;
}

}  // namespace

Result<HeldCalls::ById> HeldCalls::find(std::string_view tenant, std::span<const ChatToolCall> calls) {
    ById found;
    for (const ChatToolCall &call : calls) {
        if (store_ != nullptr) {
            ENGRAM_ASSIGN(const std::optional<std::string> text, store_->held_call(tenant, call.id));
            if (!text) continue;
            ENGRAM_ASSIGN(found[call.id], call_of(*text));
        } else {
            const std::scoped_lock lock(mutex_);
            const auto kept = kept_.find({std::string(tenant), call.id});
            if (kept != kept_.end()) found.emplace(call.id, kept->second);
        }
    }
    return found;
}

Result<void> HeldCalls::keep(std::string_view tenant, const ById &calls) {
    if (store_ != nullptr) {
        std::map<std::string, std::string> texts;
        for (const auto &[id, call] : calls) texts.emplace(id, text_of(call));
        return store_->keep_held_calls(tenant, texts);
    }
    const std::scoped_lock lock(mutex_);
    for (const auto &[id, call] : calls) kept_[{std::string(tenant), id}] = call;
    return {};
}

void HeldCalls::forget(std::string_view tenant, std::span<const ChatToolCall> calls) {
    for (const ChatToolCall &call : calls) {
        if (store_ != nullptr) {
            static_cast<void>(store_->forget_held_call(tenant, call.id));  // its id never comes again: it only takes up room
        } else {
            const std::scoped_lock lock(mutex_);
            kept_.erase({std::string(tenant), call.id});
        }
    }
}

std::string id_below(std::string_view agent, std::string_view id) { return std::format("{}/{}", agent, id); }

std::string waits_text(std::string_view agent) { return std::format("{} waits for a person to allow its calls.", agent); }

std::optional<std::string_view> id_within(std::string_view agent, std::string_view id) {
    if (id.size() <= agent.size() || !id.starts_with(agent) || id[agent.size()] != '/') return std::nullopt;
    return id.substr(agent.size() + 1);
}

}  // namespace engram
