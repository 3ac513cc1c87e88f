#include "chat/message_identity.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "chat/bounded_json.h"
#include "chat/tool_call.h"
#include "core/field_hasher.h"

namespace engram {
namespace {

using SortedJson = nlohmann::json;

constexpr std::size_t kMaxBytes = 64UZ << 20U;

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r\n";
    const std::size_t first = text.find_first_not_of(kSpace);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

SortedJson sorted(const OrderedJson &json) {
    if (json.is_object()) {
        SortedJson object = SortedJson::object();
        for (const auto &[name, value] : json.items()) object[name] = sorted(value);
        return object;
    }
    if (json.is_array()) {
        SortedJson array = SortedJson::array();
        for (const OrderedJson &item : json) array.push_back(sorted(item));
        return array;
    }
    return SortedJson(json);
}

std::string dump(const SortedJson &json) { return json.dump(-1, ' ', false, SortedJson::error_handler_t::replace); }

void add_message(FieldHasher &hasher, const TemplateMessage &message) {
    hasher.add(message.role);
    hasher.add(trimmed(message.content));
    const auto calls = parse_tool_calls(message.tool_calls);
    if (!calls) return hasher.add(message.tool_calls);
    hasher.add(std::uint64_t{calls->size()});
    for (const ToolCall &call : *calls) {
        hasher.add(call.name);
        hasher.add(canonical_json(call.arguments));
    }
}

Digest digest_of(const TemplateMessage &message) {
    FieldHasher hasher("engram message 1");
    add_message(hasher, message);
    return hasher.finish();
}

const std::string *name_of(const OrderedJson &tool) {
    const auto function = tool.is_object() ? tool.find("function") : tool.end();
    if (function == tool.end() || !function->is_object()) return nullptr;
    const auto name = function->find("name");
    return name == function->end() ? nullptr : name->get_ptr<const std::string *>();
}

}  // namespace

std::string canonical_json(std::string_view text) {
    const auto json = parse_bounded_json(text, kMaxBytes);
    return json ? dump(sorted(*json)) : std::string(text);
}

std::string ordered_tools(std::string_view tools) {
    auto list = parse_bounded_json(tools, kMaxBytes);
    if (!list || !list->is_array()) return std::string(tools);
    std::vector<OrderedJson> items(list->begin(), list->end());
    std::ranges::stable_sort(items, [](const OrderedJson &a, const OrderedJson &b) {
        const std::string *first = name_of(a);
        const std::string *second = name_of(b);
        return first != nullptr && second != nullptr && *first < *second;
    });
    return OrderedJson(items).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::vector<Digest> prefix_digests(std::string_view tools, std::span<const TemplateMessage> messages) {
    FieldHasher hasher("engram conversation 1");
    hasher.add(tools.empty() ? std::string() : canonical_json(ordered_tools(tools)));
    std::vector<Digest> digests;
    digests.reserve(messages.size());
    for (const TemplateMessage &message : messages) {
        add_message(hasher, message);
        digests.push_back(hasher.finish());
    }
    return digests;
}

std::size_t common_messages(std::span<const TemplateMessage> a, std::span<const TemplateMessage> b) {
    const std::size_t most = std::min(a.size(), b.size());
    std::size_t n = 0;
    while (n < most && digest_of(a[n]) == digest_of(b[n])) ++n;
    return n;
}

}  // namespace engram
