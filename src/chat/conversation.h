// Messages into prompt text, with the model's own Jinja template, so that a turn appends to what the model has already read.
//
// The text that the model has read (and what it sampled) is authoritative; a new turn is the text that the template would put
// after it. For a template that renders history unchanged this is exactly the template's own output; for one that rewrites
// history (drops old thinking, trims answers) the history stays as it was read. Pure: no I/O, no libllama. Thread-safe after
// construction.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/answer_style.h"
#include "engram/error.h"

namespace engram {

struct TemplateMessage {
    std::string role;
    std::string content;
    std::string tool_calls = {};    // of an answer: a JSON list as tool_calls_json (tool_call.h) writes it; empty: none
    std::string tool_call_id = {};  // of a tool: the call that this is the result of; empty: not said
    std::string thinking = {};      // of an answer: what was thought before it
};

class ChatTemplate {
  public:
    // The vocabulary's own texts, copied.
    struct Vocabulary {
        std::string_view bos, eos;
        bool adds_bos = true;  // the tokenizer puts BOS in front of a prompt by itself
    };
    // An empty `jinja` gives the built-in ChatML template.
    // invalid_argument: the template can't be parsed or rendered (with the reason).
    static Result<std::unique_ptr<ChatTemplate>> create(std::string_view jinja, const Vocabulary &vocabulary);
    virtual ~ChatTemplate() = default;

    // How the model's answers are to be read.
    virtual const AnswerStyle &answer_style() const = 0;

    // In all of these, `tools` is the conversation's list of tools as JSON, always the same for one conversation (a template puts
    // it at the front); empty: none. A template that knows no tools gets them, their calls and results as text (tools_as_text.h).

    // The whole conversation as text. BOS text at the very front is removed where the tokenizer adds the token.
    // invalid_argument: the template raised an exception (e.g. roles must alternate); the message is the template's.
    virtual Result<std::string> render(std::span<const TemplateMessage> messages, bool add_generation_prompt,
                                       std::string_view tools = {}) const = 0;

    // The text to append after what the model has read, for a turn that adds `added` to `history`.
    // `history` is everything before (system prompt included); when it ends with an assistant message, the model has read that
    // message's text as far as it was sampled: `answer_closed` says whether its end-of-turn token was read too.
    // For an empty history this is render(added, true): a first turn has its system prompt in `added`. A history that ends with
    // another message was read as render(history, false).
    //
    // System texts: a template without a system role gets the first ones in front of the first user message, and one that takes a
    // system message only at the front gets later ones in front of the next user message, marked as a reminder.
    //
    // `answer_closed`: the template's end-of-turn text is left out at the start of the result, with white space before it. That
    // is `eos`, or a text that looks like a control token (<...>) with which the template closes a last answer too. In a format
    // without such a text (an answer ends where the next role's marker begins) nothing is left out.
    //
    // unsupported: the template drops or repeats the last answer, or what follows an answer depends on the answer's text.
    //
    // `thinks`: whether the answer is to be thought about first, for templates that have a switch; nullopt: as they have it.
    virtual Result<std::string> next_turn(std::span<const TemplateMessage> history, std::span<const TemplateMessage> added,
                                          bool answer_closed, std::string_view tools = {},
                                          std::optional<bool> thinks = std::nullopt) const = 0;

    struct Scripted {
        std::string text;
        std::string end_marker;  // the end-of-turn text of an answer that `added` ends with: read too when it is a token
    };
    // The text to append after what the model has read, for messages that happened elsewhere: nothing is asked after them. When
    // they end with an answer, what the template puts behind its end-of-turn text belongs to the next turn and is left out, so
    // that the model has read what it would have after sampling that answer. Otherwise as next_turn.
    virtual Result<Scripted> scripted(std::span<const TemplateMessage> history, std::span<const TemplateMessage> added,
                                      bool answer_closed, std::string_view tools = {}) const = 0;
};

}  // namespace engram
