#include "eval/suite.h"

#include <algorithm>
#include <array>
#include <format>
#include <limits>
#include <unordered_set>
#include <utility>

#include "chat/bounded_json.h"
#include "config/config_file.h"

namespace engram::eval {
namespace {

constexpr std::uint64_t kFormat = 1;
constexpr std::uint32_t kMaxAnswerTokens = 1U << 16U;

std::unexpected<Error> wrong(std::string_view place, std::string_view what) {
    return fail(ErrorCode::invalid_argument, std::format("{}: {}", place, what));
}

// Takes members out of one object; the first thing that is wrong is remembered with its place.
class Members {
  public:
    Members(const OrderedJson &object, std::string place) : object_(object), place_(std::move(place)) {
        if (!object.is_object()) note(place_, "it must be an object");
    }

    std::string text(const char *name, std::optional<std::string> otherwise = std::nullopt) {
        const OrderedJson *value = find(name);
        if (value == nullptr && otherwise) return *std::move(otherwise);
        if (value != nullptr && value->is_string()) return value->get<std::string>();
        note(at(name), "it must be a text");
        return {};
    }

    std::uint64_t count(const char *name, std::uint64_t otherwise, std::uint64_t least, std::uint64_t most) {
        const OrderedJson *value = find(name);
        if (value == nullptr) return otherwise;
        const std::uint64_t number = value->is_number_unsigned() ? value->get<std::uint64_t>() : 0;
        if (!value->is_number_unsigned() || number < least || number > most) {
            note(at(name), std::format("it must be a whole number from {} to {}", least, most));
        }
        return number;
    }

    bool flag(const char *name) {
        const OrderedJson *value = find(name);
        if (value != nullptr && !value->is_boolean()) note(at(name), "it must be true or false");
        return value != nullptr && value->is_boolean() && value->get<bool>();
    }

    // A list that may be missing; one that is there has at least one text, none of them empty.
    std::vector<std::string> texts(const char *name) {
        std::vector<std::string> list;
        const OrderedJson *value = find(name);
        if (value == nullptr) return list;
        const auto is_text = [](const OrderedJson &item) {
            return item.is_string() && !item.get_ref<const std::string &>().empty();
        };
        if (!value->is_array() || value->empty() || !std::ranges::all_of(*value, is_text)) {
            note(at(name), "it must be a list of texts that aren't empty");
            return list;
        }
        for (const OrderedJson &item : *value) list.push_back(item.get<std::string>());
        return list;
    }

    // A list of objects; null when it is missing or no list.
    const OrderedJson *list(const char *name, bool required) {
        const OrderedJson *value = find(name);
        if (value == nullptr && !required) return nullptr;
        if (value != nullptr && value->is_array()) return value;
        note(at(name), "it must be a list");
        return nullptr;
    }

    const OrderedJson *find(const char *name) const {
        if (!object_.is_object()) return nullptr;
        const auto found = object_.find(name);
        return found == object_.end() ? nullptr : &*found;
    }

    void only(std::span<const std::string_view> known) {
        if (!object_.is_object()) return;
        for (const auto &[name, value] : object_.items()) {
            if (!std::ranges::contains(known, name)) note(at(name.c_str()), "there is no such member");
        }
    }

    void note(const std::string &place, std::string_view what) {
        if (!fault_) fault_ = wrong(place, what).error();
    }
    std::string at(const char *name) const { return place_.empty() ? name : std::format("{}.{}", place_, name); }
    Result<void> verdict() && { return fault_ ? Result<void>(std::unexpected(*std::move(fault_))) : Result<void>(); }

  private:
    const OrderedJson &object_;
    std::string place_;
    std::optional<Error> fault_;
};

bool is_role(std::string_view role) {
    constexpr std::array<std::string_view, 4> kRoles{"system", "user", "assistant", "tool"};
    return std::ranges::contains(kRoles, role);
}

Result<ToolCall> read_call(const OrderedJson &object, std::string place) {
    Members members(object, std::move(place));
    ToolCall call{.name = members.text("name"), .arguments = "{}"};
    if (call.name.empty()) members.note(members.at("name"), "it must not be empty");
    if (const OrderedJson *arguments = members.find("arguments")) {
        if (!arguments->is_object()) members.note(members.at("arguments"), "it must be an object");
        call.arguments = arguments->dump();
    }
    ENGRAM_TRY(std::move(members).verdict());
    return call;
}

Result<Message> read_message(const OrderedJson &object, const std::string &place) {
    Members members(object, place);
    Message message{.role = members.text("role"), .content = members.text("content")};
    if (!is_role(message.role)) members.note(members.at("role"), "it must be system, user, assistant or tool");
    if (const OrderedJson *list = members.list("tool_calls", false)) {
        std::vector<ToolCall> calls;
        if (message.role != "assistant") members.note(members.at("tool_calls"), "only an assistant calls tools");
        for (const OrderedJson &item : *list) {
            ENGRAM_ASSIGN(ToolCall call, read_call(item, std::format("{}.tool_calls[{}]", place, calls.size())));
            calls.push_back(std::move(call));
        }
        message.tool_calls = tool_calls_json(calls);
    }
    ENGRAM_TRY(std::move(members).verdict());
    return message;
}

// Strict: a member that isn't known would be an expectation that never fails.
Result<Expectation> read_expectation(const OrderedJson &object, const std::string &place) {
    constexpr std::array<std::string_view, 7> kKnown{"contains",     "absent", "any_of",    "tool_call",
                                                     "no_tool_call", "items",  "list_lines"};
    Members members(object, place);
    members.only(kKnown);
    Expectation expect{.contains = members.texts("contains"),
                       .absent = members.texts("absent"),
                       .any_of = members.texts("any_of"),
                       .tool_call = std::nullopt,
                       .no_tool_call = members.flag("no_tool_call"),
                       .items = members.texts("items"),
                       .list_lines = members.flag("list_lines")};
    if (const OrderedJson *call = members.find("tool_call")) {
        ENGRAM_ASSIGN(expect.tool_call, read_call(*call, members.at("tool_call")));
        if (expect.no_tool_call) members.note(members.at("no_tool_call"), "it contradicts tool_call");
    }
    if (expect.list_lines && expect.items.empty()) members.note(members.at("list_lines"), "it needs items");
    const bool nothing = expect.contains.empty() && expect.absent.empty() && expect.any_of.empty() && !expect.tool_call &&
                         !expect.no_tool_call && expect.items.empty();
    if (nothing) members.note(place, "nothing is expected, so every answer would be right");
    ENGRAM_TRY(std::move(members).verdict());
    return expect;
}

Result<Question> read_question(const OrderedJson &object, const std::string &place) {
    Members members(object, place);
    Question question{.task = members.text("task"),
                      .role = members.text("role", "user"),
                      .content = members.text("content"),
                      .max_tokens = static_cast<std::uint32_t>(members.count("max_tokens", 64, 1, kMaxAnswerTokens)),
                      .expect = {}};
    if (question.task.empty()) members.note(members.at("task"), "it must not be empty");
    if (question.role != "user" && question.role != "tool") members.note(members.at("role"), "it must be user or tool");
    const OrderedJson *expect = members.find("expect");
    if (expect == nullptr) {
        members.note(members.at("expect"), "it is missing");
    } else {
        ENGRAM_ASSIGN(question.expect, read_expectation(*expect, members.at("expect")));
    }
    ENGRAM_TRY(std::move(members).verdict());
    return question;
}

Result<Conversation> read_conversation(const OrderedJson &object, const std::string &place) {
    Members members(object, place);
    Conversation conversation{.id = members.text("id"), .tools = {}, .messages = {}, .questions = {}};
    if (conversation.id.empty()) members.note(members.at("id"), "it must not be empty");
    if (const OrderedJson *tools = members.find("tools")) {
        auto checked = checked_tools(tools->dump());
        if (!checked) return wrong(members.at("tools"), checked.error().message);
        conversation.tools = *std::move(checked);
    }
    if (const OrderedJson *list = members.list("messages", true)) {
        for (const OrderedJson &item : *list) {
            ENGRAM_ASSIGN(Message message,
                          read_message(item, std::format("{}.messages[{}]", place, conversation.messages.size())));
            conversation.messages.push_back(std::move(message));
        }
    }
    if (const OrderedJson *list = members.list("questions", true)) {
        for (const OrderedJson &item : *list) {
            ENGRAM_ASSIGN(Question question,
                          read_question(item, std::format("{}.questions[{}]", place, conversation.questions.size())));
            conversation.questions.push_back(std::move(question));
        }
    }
    ENGRAM_TRY(std::move(members).verdict());
    return conversation;
}

}  // namespace

Result<Suite> parse_suite(std::string_view json) {
    auto parsed = parse_bounded_json(json, kMaxSuiteBytes);
    if (!parsed) return fail(ErrorCode::invalid_argument, "the suite can't be read: " + parsed.error().message);
    Members members(*parsed, {});
    constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
    const std::uint64_t format = members.count("format", 0, 1, kAny);
    if (format > kFormat) {
        return fail(ErrorCode::incompatible,
                    std::format("the suite's format is {}, this program reads {}; update Engram", format, kFormat));
    }
    if (format == 0) members.note("format", "it is missing");
    Suite suite{.name = members.text("name"),
                .description = members.text("description", ""),
                .seed = members.count("seed", 0, 0, kAny),
                .conversations = {}};
    std::unordered_set<std::string> ids;
    if (const OrderedJson *list = members.list("conversations", true)) {
        for (const OrderedJson &item : *list) {
            const std::string place = std::format("conversations[{}]", suite.conversations.size());
            ENGRAM_ASSIGN(Conversation conversation, read_conversation(item, place));
            if (!ids.insert(conversation.id).second) return wrong(place + ".id", "an earlier conversation has the same");
            suite.conversations.push_back(std::move(conversation));
        }
    }
    ENGRAM_TRY(std::move(members).verdict());
    return suite;
}

Result<Suite> read_suite(const std::filesystem::path &file) {
    ENGRAM_ASSIGN(const std::string text, read_bounded_file(file, kMaxSuiteBytes));
    auto suite = parse_suite(text);
    if (!suite) return std::unexpected(std::move(suite.error()).within(file.string()));
    return suite;
}

}  // namespace engram::eval
