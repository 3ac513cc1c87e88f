#include "agents/agent_file_json.h"

#include <format>
#include <nlohmann/json.hpp>

namespace engram {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kFormat = 1;

bool is_utf8(const std::string &text) {
    try {
        (void)Json(text).dump();
        return true;
    } catch (const Json::type_error &) {  // what dump() throws for other bytes
        return false;
    }
}

std::string hex_of(std::string_view bytes) {
    std::string digits;
    digits.reserve(bytes.size() * 2);
    for (const char byte : bytes) std::format_to(std::back_inserter(digits), "{:02x}", static_cast<unsigned char>(byte));
    return digits;
}

std::optional<std::string> from_hex(std::string_view digits) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    if (digits.size() % 2 != 0 || digits.find_first_not_of(kDigits) != std::string_view::npos) return std::nullopt;
    std::string bytes;
    bytes.reserve(digits.size() / 2);
    for (std::size_t i = 0; i < digits.size(); i += 2) {
        bytes += static_cast<char>(kDigits.find(digits[i]) << 4 | kDigits.find(digits[i + 1]));
    }
    return bytes;
}

void put_text(Json &object, const std::string &name, const std::string &text) {
    if (is_utf8(text)) {
        object[name] = text;
    } else {
        object[name + "_hex"] = hex_of(text);
    }
}

// Takes members out of an object and remembers the first that is missing or of another type.
class Members {
  public:
    explicit Members(const Json &object) : object_(object) {
        if (!object.is_object()) fault_ = "it is not a JSON object";
    }

    std::string text(const std::string &name) {
        if (const Json *plain = find(name); plain != nullptr && plain->is_string()) return plain->get<std::string>();
        if (const Json *hex = find(name + "_hex"); hex != nullptr && hex->is_string()) {
            if (auto bytes = from_hex(hex->get_ref<const std::string &>())) return *std::move(bytes);
        }
        return wrong<std::string>(name, "text");
    }

    std::string text_if_there(const std::string &name) { return has(name) || has(name + "_hex") ? text(name) : std::string(); }

    std::uint64_t count(const std::string &name) {
        const Json *value = find(name);
        return value != nullptr && value->is_number_unsigned() ? value->get<std::uint64_t>()
                                                               : wrong<std::uint64_t>(name, "count");
    }

    std::int64_t integer(const std::string &name) {
        const Json *value = find(name);
        // An unsigned number beyond the signed range would come back as another one.
        const bool fits = value != nullptr && value->is_number_integer() &&
                          (!value->is_number_unsigned() || value->get<std::uint64_t>() <= std::uint64_t{INT64_MAX});
        return fits ? value->get<std::int64_t>() : wrong<std::int64_t>(name, "integer");
    }

    bool boolean(const std::string &name) {
        const Json *value = find(name);
        return value != nullptr && value->is_boolean() ? value->get<bool>() : wrong<bool>(name, "boolean");
    }

    bool has(const std::string &name) const { return find(name) != nullptr; }
    const std::string &fault() const { return fault_; }

  private:
    const Json *find(const std::string &name) const {
        if (!object_.is_object()) return nullptr;
        const auto found = object_.find(name);
        return found == object_.end() ? nullptr : &*found;
    }

    template <typename T>
    T wrong(const std::string &name, std::string_view type) {
        if (fault_.empty()) fault_ = std::format("\"{}\" is missing or not a {}", name, type);
        return T{};
    }

    const Json &object_;
    std::string fault_;
};

}  // namespace

std::string header_json(const AgentFileContent &content) {
    const AgentRow &agent = content.agent;
    Json json{{"format", kFormat},
              {"tenant", agent.key.tenant},
              {"id", agent.key.id},
              {"created_ms", agent.created_ms},
              {"updated_ms", agent.updated_ms},
              {"last_used_ms", agent.last_used_ms},
              {"pinned", agent.pinned},
              {"n_tokens", agent.n_tokens},
              {"n_messages", agent.n_messages},
              {"n_turns", agent.n_turns}};
    put_text(json, "written_by", content.written_by);
    put_text(json, "system_prompt", agent.system_prompt);
    put_text(json, "description", agent.description);
    put_text(json, "model", agent.model);
    put_text(json, "vocabulary", agent.vocabulary);
    put_text(json, "forked_from", agent.forked_from);
    if (!agent.tools.empty()) put_text(json, "tools", agent.tools);
    if (!agent.card.empty()) put_text(json, "card", agent.card);
    if (content.manifest) json["fingerprint"] = content.manifest->fingerprint.hex();
    return json.dump();
}

Result<AgentFileContent> parse_header_json(std::string_view text) {
    const Json json = Json::parse(text, nullptr, false);
    Members members(json);
    const std::uint64_t format = members.count("format");
    if (members.fault().empty() && format > kFormat) {
        return fail(ErrorCode::incompatible,
                    std::format("its format is {}, this program reads up to {}; update Engram", format, kFormat));
    }
    AgentFileContent content;
    AgentRow &agent = content.agent;
    agent.key = {.tenant = members.text("tenant"), .id = members.text("id")};
    agent.created_ms = members.integer("created_ms");
    agent.updated_ms = members.integer("updated_ms");
    agent.last_used_ms = members.integer("last_used_ms");
    agent.pinned = members.boolean("pinned");
    agent.n_tokens = members.count("n_tokens");
    agent.n_messages = members.count("n_messages");
    agent.n_turns = members.count("n_turns");
    content.written_by = members.text("written_by");
    agent.system_prompt = members.text("system_prompt");
    agent.description = members.text("description");
    agent.model = members.text("model");
    agent.vocabulary = members.text("vocabulary");
    agent.forked_from = members.text("forked_from");
    agent.tools = members.text_if_there("tools");
    agent.card = members.text_if_there("card");
    const std::string fingerprint = members.has("fingerprint") ? members.text("fingerprint") : std::string();
    if (!members.fault().empty()) return fail(ErrorCode::corrupt, "its header is wrong: " + members.fault());
    if (format == 0 || !validate_tenant_id(agent.key.tenant) || !validate_agent_id(agent.key.id)) {
        return fail(ErrorCode::corrupt, "its header is wrong: no format, or names that no agent can have");
    }
    if (members.has("fingerprint")) {
        const auto digest = Digest::from_hex(fingerprint);
        if (!digest) return fail(ErrorCode::corrupt, "its header is wrong: \"fingerprint\" is not one");
        content.manifest = Manifest{.fingerprint = {*digest}};
    }
    return content;
}

std::string messages_json(std::span<const MessageRow> messages) {
    Json json = Json::array();
    for (const MessageRow &message : messages) {
        Json object{{"created_ms", message.created_ms}};
        put_text(object, "role", message.role);
        put_text(object, "content", message.content);
        if (!message.tool_calls.empty()) put_text(object, "tool_calls", message.tool_calls);
        json.push_back(std::move(object));
    }
    return json.dump();
}

Result<std::vector<MessageRow>> parse_messages_json(std::string_view text) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_array()) return fail(ErrorCode::corrupt, "its transcript is not a JSON array");
    std::vector<MessageRow> messages;
    messages.reserve(json.size());
    for (const Json &object : json) {
        Members members(object);
        messages.push_back({.role = members.text("role"),
                            .content = members.text("content"),
                            .created_ms = members.integer("created_ms"),
                            .tool_calls = members.text_if_there("tool_calls")});
        if (!members.fault().empty()) {
            return fail(ErrorCode::corrupt,
                        std::format("message {} of its transcript is wrong: {}", messages.size() - 1, members.fault()));
        }
    }
    return messages;
}

}  // namespace engram
