// Fuzz entry of what clients send again and again: messages and tools, repaired, recognised and rendered. The input is JSON,
// {"messages": [{"role", "content", "tool_calls", "tool_call_id", "thinking"}, …], "tools": […]}.
#include <algorithm>
#include <array>

#include "chat/bounded_json.h"
#include "chat/conversation.h"
#include "chat/message_identity.h"
#include "chat/repairs.h"
#include "chat/tool_call.h"
#include "core/testing/fuzz.h"

namespace {

using namespace engram;
using fuzz::require;

// One that knows neither tools nor system texts and wants roles in turns, and one that knows all.
constexpr std::string_view kStrict =
    "{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ m.content + eos_token }}{% endif %}{% endfor "
    "%}";
constexpr std::string_view kHermes =
    "{%- if tools %}{{ '<|im_start|>system\\n' + tools | tojson + '<|im_end|>\\n' }}{% endif %}"
    "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}"
    "{%- for call in m.tool_calls or [] %}{{ '<tool_call>\\n' + call.function | tojson + '\\n</tool_call>' }}{% endfor %}"
    "{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const std::vector<std::unique_ptr<ChatTemplate>> &templates() {
    static const auto kTemplates = [] {
        std::vector<std::unique_ptr<ChatTemplate>> all;
        for (const std::string_view source : {std::string_view(), kStrict, kHermes}) {
            all.push_back(std::move(*ChatTemplate::create(source, {.bos = "<s>", .eos = "</s>"})));
        }
        return all;
    }();
    return kTemplates;
}

std::string text_of(const OrderedJson &object, const char *name) {
    const auto found = object.find(name);
    if (found == object.end() || found->is_null()) return {};
    return found->is_string() ? found->get<std::string>() : found->dump();
}

std::vector<TemplateMessage> messages_of(const OrderedJson &json) {
    constexpr std::array<const char *, 4> kRoles{"system", "user", "assistant", "tool"};
    std::vector<TemplateMessage> messages;
    const auto list = json.find("messages");
    if (list == json.end() || !list->is_array()) return messages;
    for (const OrderedJson &item : *list) {
        if (!item.is_object() || messages.size() == 32) continue;
        TemplateMessage message{.role = text_of(item, "role"), .content = text_of(item, "content")};
        if (std::ranges::find(kRoles, message.role) == kRoles.end()) message.role = kRoles[messages.size() % kRoles.size()];
        if (message.role == "assistant") {
            if (const auto calls = parse_tool_calls(text_of(item, "tool_calls"))) message.tool_calls = tool_calls_json(*calls);
            message.thinking = text_of(item, "thinking");
        }
        if (message.role == "tool") message.tool_call_id = text_of(item, "tool_call_id");
        messages.push_back(std::move(message));
    }
    return messages;
}

bool same(const TemplateMessage &a, const TemplateMessage &b) {
    return a.role == b.role && a.content == b.content && a.tool_calls == b.tool_calls && a.tool_call_id == b.tool_call_id &&
           a.thinking == b.thinking;
}

// What was repaired needs no repair, and is recognised as what it is.
RepairedPrompt check_repairs(const std::vector<TemplateMessage> &messages, const std::string &tools) {
    RepairedPrompt once = repair_prompt(messages, tools);
    const RepairedPrompt twice = repair_prompt(once.messages, once.tools);
    require(twice.repairs.empty() && twice.tools == once.tools && std::ranges::equal(twice.messages, once.messages, same));
    require(common_messages(once.messages, twice.messages) == once.messages.size());
    const std::vector<Digest> digests = prefix_digests(once.tools, once.messages);
    require(digests.size() == once.messages.size() && digests == prefix_digests(once.tools, once.messages));
    const std::string canonical = canonical_json(once.tools);
    require(canonical_json(canonical) == canonical);
    return once;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const auto json = parse_bounded_json(fuzz::text_of(data, size), 1U << 20U);
    if (!json || !json->is_object()) return 0;
    const auto tools = checked_tools(text_of(*json, "tools"));
    const RepairedPrompt prompt = check_repairs(messages_of(*json), tools.value_or(""));
    if (prompt.messages.empty()) return 0;
    const std::span<const TemplateMessage> messages(prompt.messages);
    for (const auto &chat : templates()) {
        const auto whole = chat->render(messages, true, prompt.tools);
        require(whole.has_value() || !whole.error().message.empty());
        const auto history = messages.first(messages.size() - 1), added = messages.last(1);
        for (const bool closed : {false, true}) {
            const auto next = chat->next_turn(history, added, closed, prompt.tools);
            require(next.has_value() || !next.error().message.empty());
            // What the model has read, and the turn behind it, is the conversation as a whole.
            const auto before = chat->render(history, false, prompt.tools);
            const bool appended = !history.empty() && history.back().role != "assistant" && before && whole && next;
            if (appended) require(*before + *next == *whole);
        }
        const auto scripted = chat->scripted(history, added, false, prompt.tools);
        require(scripted.has_value() || !scripted.error().message.empty());
    }
    return 0;
}
