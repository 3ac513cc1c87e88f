#include "chat/conversation.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <format>
#include <utility>

#include "chat/jinja.h"
#include "chat/tools_as_text.h"

namespace engram {
namespace {

constexpr std::string_view kChatMl =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// Contents of probe messages; letters only, so that no template trims, splits or escapes them.
constexpr std::string_view kSystemProbe = "engramprobesystem";
constexpr std::string_view kUserProbe = "engramprobeuser";
constexpr std::string_view kAnswerProbe = "engramprobeanswer";
constexpr std::string_view kSecondUserProbe = "engramprobesecond";

constexpr std::string_view kToolsProbe =
    R"([{"type":"function","function":{"name":"engramprobefirst","description":"engramprobedescription",)"
    R"("parameters":{"type":"object","properties":{"engramprobeargument":{"type":"string","description":"engramprobe"}},)"
    R"("required":["engramprobeargument"]}}}])";

std::string call_probe(std::string_view name) {
    return std::format(R"({{"type":"function","function":{{"name":"{}","arguments":{{"{}":"engramprobevalue"}}}}}})", name,
                       kProbeArgument);
}

constexpr std::string_view kResultProbe = "engramproberesult";

constexpr std::string_view kTool = "tool";
constexpr std::string_view kSystem = "system";
constexpr std::string_view kUser = "user";
constexpr std::string_view kAssistant = "assistant";

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

// Whether all of `parts` stand in `text`, each after the one before.
bool contains_in_order(std::string_view text, std::span<const std::string_view> parts) {
    std::size_t at = 0;
    for (const std::string_view part : parts) {
        const std::size_t found = text.find(part, at);
        if (found == std::string_view::npos) {
            return false;
        }
        at = found + part.size();
    }
    return true;
}

void append_paragraph(std::string &text, std::string_view paragraph) {
    if (!text.empty() && !paragraph.empty()) {
        text += "\n\n";
    }
    text += paragraph;
}

std::string reminder(std::string_view text) { return std::format("<system-reminder>\n{}\n</system-reminder>", text); }

// A text that stands in no message, in place of the last answer: what follows it in a rendering follows the answer, whatever the
// template trims from real answers. Letters and digits only, as above.
std::string sentinel(std::string_view start, std::span<const TemplateMessage> history, std::span<const TemplateMessage> added) {
    std::string text(start);
    const auto holds = [&](const TemplateMessage &message) {
        return message.content.contains(text) || message.tool_calls.contains(text);
    };
    while (std::ranges::any_of(history, holds) || std::ranges::any_of(added, holds)) {
        text += "x7";
    }
    return text;
}

std::vector<TemplateMessage> joined(std::span<const TemplateMessage> history, std::span<const TemplateMessage> added) {
    std::vector<TemplateMessage> all(history.begin(), history.end());
    all.insert(all.end(), added.begin(), added.end());
    return all;
}

// How long the end-of-turn marker at the start of `text` is, with white space before it that the model never saw; 0 when there is
// none. The marker is the vocabulary's end-of-sequence text or something that looks like a control token: <...> without white
// space or another < inside.
std::size_t marker_length(std::string_view text, std::string_view eos) {
    constexpr std::size_t kLongestMarker = 96;
    std::size_t start = 0;
    while (start < text.size() && is_space(text[start])) {
        ++start;
    }
    const std::string_view rest = text.substr(start, std::max(kLongestMarker, eos.size()));
    if (!eos.empty() && rest.starts_with(eos)) {
        return start + eos.size();
    }
    if (!rest.starts_with('<')) {
        return 0;
    }
    for (std::size_t i = 1; i < rest.size() && rest[i] != '<' && !is_space(rest[i]); ++i) {
        if (rest[i] == '>') {
            return start + i + 1;
        }
    }
    return 0;
}

class JinjaChatTemplate final : public ChatTemplate {
  public:
    JinjaChatTemplate(JinjaTemplate jinja, std::string_view source, const Vocabulary &vocabulary)
        : jinja_(std::move(jinja)), source_(source), bos_(vocabulary.bos), eos_(vocabulary.eos), adds_bos_(vocabulary.adds_bos) {}

    const AnswerStyle &answer_style() const override { return style_; }

    // Learns by rendering probes what the template supports. Only called before the object is handed out.
    Result<void> probe() {
        const std::vector<TemplateMessage> user = {{std::string(kUser), std::string(kUserProbe)}};
        Result<std::string> plain = render_raw({.messages = user, .add_generation_prompt = true});
        if (!plain.has_value() || !plain->contains(kUserProbe)) {
            typed_content_ = true;
            const Result<std::string> typed = render_raw({.messages = user, .add_generation_prompt = true});
            if (!typed.has_value() || !typed->contains(kUserProbe)) {
                return plain.has_value()
                           ? fail(ErrorCode::invalid_argument, "the chat template leaves a user message out of the prompt")
                           : Result<void>(std::unexpected(std::move(plain.error())));
            }
        }
        // In front of the first user message, not (as some do) of the last one: that text would move, and be read, with each
        // turn.
        system_first_ = renders_in_order(
            {{{kSystem, kSystemProbe}, {kUser, kUserProbe}, {kAssistant, kAnswerProbe}, {kUser, kSecondUserProbe}}});
        system_anywhere_ =
            system_first_ &&
            renders_in_order(
                {{{kUser, kUserProbe}, {kAssistant, kAnswerProbe}, {kSystem, kSystemProbe}, {kUser, kSecondUserProbe}}});
        const Result<std::string> tools = render_raw({.messages = user, .tools = kToolsProbe, .add_generation_prompt = true});
        knows_tools_ = tools.has_value() && tools->contains(kFirstProbe);
        probe_calls(user.front());
        knows_results_ = renders_result(user.front());
        return {};
    }

    Result<std::string> render(std::span<const TemplateMessage> messages, bool add_generation_prompt,
                               std::string_view tools) const override {
        return checked({.messages = messages, .tools = tools, .add_generation_prompt = add_generation_prompt});
    }

    Result<std::string> next_turn(std::span<const TemplateMessage> history, std::span<const TemplateMessage> added,
                                  bool answer_closed, std::string_view tools, std::optional<bool> thinks) const override {
        return following({.history = history, .added = added, .tools = tools, .thinks = thinks}, answer_closed, true);
    }

    Result<Scripted> scripted(std::span<const TemplateMessage> history, std::span<const TemplateMessage> added,
                              bool answer_closed, std::string_view tools) const override {
        Scripted result;
        ENGRAM_ASSIGN(result.text, following({.history = history, .added = added, .tools = tools}, answer_closed, false));
        if (added.empty() || added.back().role != kAssistant) {
            return result;
        }
        const std::vector<TemplateMessage> all = joined(history, added);
        const Growth ended{.history = all, .added = {}, .tools = tools};
        ENGRAM_ASSIGN(const std::string tail, after_answer(sentinel("engramanswer", all, {}), ended, false));
        if (!result.text.ends_with(tail)) {
            return fail(ErrorCode::unsupported,
                        "the chat template closes the last answer in a way that depends on its text, so "
                        "it can't be told where that answer ends");
        }
        result.text.resize(result.text.size() - tail.size());
        result.end_marker = tail.substr(0, marker_length(tail, eos_));
        return result;
    }

  private:
    struct Prompt {
        std::span<const TemplateMessage> messages;
        std::string_view tools = {};
        bool add_generation_prompt = false;
        std::optional<bool> thinks = std::nullopt;
    };

    Result<std::string> checked(const Prompt &prompt) const {
        std::vector<TemplateMessage> messages(prompt.messages.begin(), prompt.messages.end());
        if (!knows_calls_) ENGRAM_TRY(calls_as_text(messages, style_));
        if (!knows_results_) results_as_text(messages);
        if (!knows_tools_ && !prompt.tools.empty()) tools_as_text(messages, prompt.tools, style_);
        Prompt adapted = prompt;
        if (!knows_tools_) adapted.tools = {};
        messages = adapt(messages);
        adapted.messages = messages;
        return render_raw(adapted);
    }

    // What the template makes of calls, and so how the model writes them.
    void probe_calls(const TemplateMessage &user) {
        const auto answered = [&](std::string content, std::string calls) {
            const std::vector<TemplateMessage> messages = {user, {std::string(kAssistant), std::move(content), std::move(calls)}};
            return render_raw({.messages = messages}).value_or(std::string());
        };
        const std::string no_call = answered(std::string(kAnswerProbe), {});
        const std::string one = answered({}, std::format("[{}]", call_probe(kFirstProbe)));
        const std::string two = answered({}, std::format("[{},{}]", call_probe(kFirstProbe), call_probe(kSecondProbe)));
        knows_calls_ = one.contains(kFirstProbe) && one.contains("engramprobevalue");
        const bool knows_two = knows_calls_ && two.contains(kFirstProbe) && two.contains(kSecondProbe);
        style_ = style_of(
            {.source = source_, .no_call = no_call, .one_call = knows_calls_ ? one : "", .two_calls = knows_two ? two : ""});
    }

    // Whether the result of a tool comes out, after a call where the template knows calls.
    bool renders_result(const TemplateMessage &user) const {
        TemplateMessage answer{std::string(kAssistant), std::string(kAnswerProbe)};
        if (knows_calls_) answer.tool_calls = std::format("[{}]", call_probe(kFirstProbe));
        const std::vector<TemplateMessage> messages = {user, answer, {std::string(kTool), std::string(kResultProbe)}};
        const Result<std::string> text = render_raw({.messages = messages, .add_generation_prompt = true});
        return text.has_value() && text->contains(kResultProbe);
    }

    struct Probe {
        std::string_view role;
        std::string_view content;
    };

    // A conversation that grows: `history` was read, `added` follows.
    struct Growth {
        std::span<const TemplateMessage> history, added;
        std::string_view tools;
        std::optional<bool> thinks = std::nullopt;
    };

    // What is to be read after the history.
    Result<std::string> following(const Growth &growth, bool answer_closed, bool add_generation_prompt) const {
        const auto &[history, added, tools, thinks] = growth;
        if (history.empty()) {
            return checked({.messages = added, .tools = tools, .add_generation_prompt = add_generation_prompt, .thinks = thinks});
        }
        if (history.back().role != kAssistant) {
            return after_prompt(growth, add_generation_prompt);
        }
        const std::string mark = sentinel("engramanswer", history, added);
        ENGRAM_ASSIGN(std::string tail, after_answer(mark, growth, add_generation_prompt));
        ENGRAM_ASSIGN(const std::string other,
                      after_answer(sentinel("othertextq", history, added), growth, add_generation_prompt));
        if (tail != other) {
            return fail(
                ErrorCode::unsupported,
                "the chat template makes what follows an answer depend on the answer's text, so a turn can't be appended to it");
        }
        return answer_closed ? without_end_marker(std::move(tail), mark, growth) : std::move(tail);
    }

    bool renders_in_order(const std::array<Probe, 4> &probes) const {
        std::vector<TemplateMessage> messages;
        std::vector<std::string_view> contents;
        for (const Probe &probe : probes) {
            messages.emplace_back(std::string(probe.role), std::string(probe.content));
            contents.push_back(probe.content);
        }
        const Result<std::string> text = render_raw({.messages = messages});
        return text.has_value() && contains_in_order(*text, contents);
    }

    Result<std::string> render_raw(const Prompt &prompt) const {
        std::vector<JinjaMessage> views;
        views.reserve(prompt.messages.size());
        for (const TemplateMessage &message : prompt.messages) {
            views.push_back({.role = message.role,
                             .content = message.content,
                             .tool_calls = message.tool_calls,
                             .thinking = message.thinking});
        }
        ENGRAM_ASSIGN(std::string text, jinja_.render({.messages = views,
                                                       .tools = prompt.tools,
                                                       .bos_token = bos_,
                                                       .eos_token = eos_,
                                                       .add_generation_prompt = prompt.add_generation_prompt,
                                                       .typed_content = typed_content_,
                                                       .thinks = prompt.thinks}));
        if (adds_bos_ && !bos_.empty() && text.starts_with(bos_)) {
            text.erase(0, bos_.size());
        }
        return text;
    }

    // The messages with system texts where the template can take them: at the front, joined into one, or in front of the first
    // user message; later ones stay where they are, as a marked reminder in front of the next user message.
    std::vector<TemplateMessage> adapt(std::span<const TemplateMessage> messages) const {
        std::vector<TemplateMessage> result;
        if (system_anywhere_) {
            result.assign(messages.begin(), messages.end());
            return result;
        }
        std::string waiting;  // system text for the next user message
        const auto is_system = [](const TemplateMessage &message) { return message.role == kSystem; };
        const auto body = std::ranges::find_if_not(messages, is_system);
        for (const TemplateMessage &message : std::ranges::subrange(messages.begin(), body)) {
            append_paragraph(waiting, message.content);
        }
        if (system_first_ && body != messages.begin()) {
            result.emplace_back(std::string(kSystem), std::exchange(waiting, {}));
        }
        for (const TemplateMessage &message : std::ranges::subrange(body, messages.end())) {
            if (is_system(message)) {
                append_paragraph(waiting, reminder(message.content));
                continue;
            }
            if (waiting.empty()) {
                result.push_back(message);
                continue;
            }
            std::string text = std::exchange(waiting, {});
            if (message.role == kUser) {
                append_paragraph(text, message.content);
                result.emplace_back(std::string(kUser), std::move(text));
            } else {
                result.emplace_back(std::string(kUser), std::move(text));
                result.push_back(message);
            }
        }
        if (!waiting.empty()) {
            result.emplace_back(std::string(kUser), std::move(waiting));
        }
        return result;
    }

    // What the template puts after the history's last answer, in which `mark` stands for that answer with its calls.
    Result<std::string> after_answer(std::string_view mark, const Growth &growth, bool add_generation_prompt) const {
        std::vector<TemplateMessage> all = joined(growth.history, growth.added);
        TemplateMessage &answer = all[growth.history.size() - 1];
        answer.content = mark;
        answer.tool_calls.clear();
        answer.thinking.clear();
        ENGRAM_ASSIGN(std::string text, checked({.messages = all,
                                                 .tools = growth.tools,
                                                 .add_generation_prompt = add_generation_prompt,
                                                 .thinks = growth.thinks}));
        const std::size_t at = text.find(mark);
        if (at == std::string::npos) {
            return fail(ErrorCode::unsupported,
                        "the chat template leaves the last answer out of the prompt, so a turn can't be appended to it");
        }
        text.erase(0, at + mark.size());
        if (text.contains(mark)) {
            return fail(ErrorCode::unsupported,
                        "the chat template repeats an answer in the prompt, so a turn can't be appended to it");
        }
        return text;
    }

    // `tail` without the end-of-turn marker, which the model has read. A marker counts only when the template closes an answer
    // that nothing follows with it as well: otherwise it opens the next message (some formats have no end-of-turn text at all).
    Result<std::string> without_end_marker(std::string tail, std::string_view mark, const Growth &growth) const {
        const std::size_t size = marker_length(tail, eos_);
        const std::string_view marker = std::string_view(tail).substr(0, size);
        if (size == 0) {
            return tail;
        }
        bool closes = !eos_.empty() && marker.ends_with(eos_);
        // A template may close its last message only when a generation prompt follows.
        for (const bool generation_prompt : {false, true}) {
            if (!closes && !(generation_prompt && growth.added.empty())) {
                const Result<std::string> closing =
                    after_answer(mark, {.history = growth.history, .added = {}, .tools = growth.tools, .thinks = growth.thinks},
                                 generation_prompt);
                closes = closing.has_value() && closing->starts_with(marker);
            }
        }
        if (closes) {
            tail.erase(0, size);
        }
        return tail;
    }

    Result<std::string> after_prompt(const Growth &growth, bool add_generation_prompt) const {
        ENGRAM_ASSIGN(const std::string before, render(growth.history, false, growth.tools));
        const std::vector<TemplateMessage> all = joined(growth.history, growth.added);
        ENGRAM_ASSIGN(std::string text, checked({.messages = all,
                                                 .tools = growth.tools,
                                                 .add_generation_prompt = add_generation_prompt,
                                                 .thinks = growth.thinks}));
        if (!text.starts_with(before)) {
            return fail(
                ErrorCode::unsupported,
                "the chat template renders the history anew when messages are added to one that doesn't end with an answer");
        }
        text.erase(0, before.size());
        return text;
    }

    JinjaTemplate jinja_;
    std::string source_, bos_, eos_;
    bool adds_bos_;
    AnswerStyle style_;
    bool typed_content_ = false;
    bool system_first_ = false;     // one system message, at the front
    bool system_anywhere_ = false;  // and between other messages
    bool knows_tools_ = false;
    bool knows_calls_ = false;    // in messages
    bool knows_results_ = false;  // messages of the role tool
};

}  // namespace

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::create(std::string_view jinja, const Vocabulary &vocabulary) {
    ENGRAM_ASSIGN(JinjaTemplate parsed, JinjaTemplate::parse(jinja.empty() ? kChatMl : jinja));
    auto result = std::make_unique<JinjaChatTemplate>(std::move(parsed), jinja, vocabulary);
    ENGRAM_TRY(result->probe());
    return result;
}

}  // namespace engram
