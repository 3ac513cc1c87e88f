// A conversation as a stateless client sends it: all of its messages, each time; and the answer as it comes.
//
// This is the neutral form between the protocols (Anthropic, OpenAI and Engram's own put their JSON into a ChatRequest and make
// theirs of ChatEvents) and the agents, who find out which memory the conversation goes on from. Plain values: no I/O, no thread
// rules. JSON travels as text where Engram only passes it on (schemas, arguments); whoever makes such a text has checked that it
// is JSON of the kind that the comment says.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engram/sampling.h"

namespace engram {

// One call of a tool, in a message or an answer.
struct ChatToolCall {
    std::string id;  // the client's or ours ("toolu_…", "call_…"); never shown to the model
    std::string name;
    std::string arguments;  // a JSON object as text: as the model wrote it, or as the client sent it
    bool operator==(const ChatToolCall &) const = default;
};

struct ChatMessage {
    std::string role;  // "system", "user", "assistant", "tool"
    std::string content;
    std::string thinking = {};                  // of an assistant: what it thought before it said `content`
    std::vector<ChatToolCall> tool_calls = {};  // of an assistant
    std::string tool_call_id = {};              // of a tool: which call this is the result of
    bool operator==(const ChatMessage &) const = default;
};

struct ChatTool {
    std::string name;
    std::string description;
    std::string parameters = R"({"type":"object","properties":{}})";  // a JSON schema of an object, members in the client's order
    bool strict = false;  // its calls must keep to the schema also where no choice forces a call
};

enum class ToolUse : std::uint8_t {
    automatic,  // the model decides
    none,       // tools are shown, but not called
    required,   // at least one call, of any tool
    named,      // a call of ToolChoice::name
};

struct ToolChoice {
    ToolUse use = ToolUse::automatic;
    std::string name;                       // with `named`: one of the request's tools
    bool parallel = true;                   // false: at most one call
    std::vector<std::string> allowed = {};  // not empty: only these of the request's tools; the model is shown all the same
};

enum class AnswerFormat : std::uint8_t { text, json_object, json_schema };

// How long after its last use an agent's or a conversation's KV stays on disk before the KV of the same tenant that nothing was
// promised for, as long as budgets and quotas allow it. standard: nothing is promised; forever: it is never evicted, as if it
// were pinned.
enum class Retention : std::uint8_t { standard, five_minutes, one_hour, one_day, forever };
std::string_view retention_name(Retention retention);  // "standard", "5m", "1h", "24h", "forever"
std::optional<Retention> retention_from_name(std::string_view name);

struct ChatRequest {
    // Whose memory it is: an agent of the tenant, by its id, made when it doesn't exist. Empty: the conversation is recognised by
    // what was said in it (docs/adr/0007-conversations-found-by-what-was-said.md).
    std::string agent;
    std::string conversation;  // the client's own key, which is kept with the conversation; any text

    std::string model;  // as the client names it; empty: whichever is loaded
    std::vector<ChatMessage> messages;
    std::string raw_prompt;  // instead of messages: text that the model reads as it is, without template
    std::vector<ChatTool> tools;
    // Tools that the messages tell of, and that may be called without standing in the prompt's front; and the names of those that
    // the messages take back.
    std::vector<ChatTool> told_tools;
    std::vector<std::string> withdrawn_tools;
    ToolChoice tool_choice;
    AnswerFormat format = AnswerFormat::text;
    std::string schema;  // with json_schema: the schema that the answer keeps to

    Sampling sampling;
    std::optional<std::uint32_t> max_tokens;    // of the answer, thinking included; 0: read the prompt, say nothing; nullopt: as
                                                // the context allows
    std::uint32_t choices = 1;                  // answers to the same prompt, each with its own seed
    std::optional<std::uint32_t> top_logprobs;  // given: each piece of text comes with its tokens' log probabilities, and so many
                                                // alternatives of each (0 to 20)
    bool thinks = false;                        // where the template has a switch for it
    std::optional<std::uint32_t> thinking_tokens;  // most tokens of thinking: then it is ended, and the answer comes
    bool continues_last_message = false;           // the last message is an assistant's, and the answer goes on with its text
    bool may_truncate = false;             // where the prompt is too long, its oldest messages are left out (not an agent's)
    std::string answer_id;                 // a name of the first choice's answer, to be found by (AgentManager::said_until)
    std::string call_id_prefix = "call_";  // of the ids that calls of tools get

    Retention retention = Retention::standard;  // standard: as it was
    std::int32_t priority = 0;                  // higher first, within a tenant
};

// --- the answer ---

struct TokenLogprob {
    std::int32_t token = 0;
    std::string bytes;  // of the token; not always whole UTF-8 characters
    float logprob = 0;
    std::vector<TokenLogprob>
        alternatives;  // the most probable tokens, most probable first, the chosen one among them when it is
};

// Why and where a prefix could not be reused.
struct PrefixMiss {
    std::uint64_t at_token = 0;  // first token that had to be computed although it had been committed
    std::string reason;  // "incompatible: …", "corrupt: …", "evicted: …", "recomputed: …" (quicker than reading), "diverged: …"
};

// What the prompt cost, known before the first token is there.
struct ChatStarted {
    std::string agent;  // who answers: the agent, or the conversation's own id
    std::uint64_t prompt_tokens = 0;
    std::uint64_t cached_tokens = 0;  // of those, not computed: the rest is
    std::string tier;                 // where they came from: "hot", "memory", "disk", "none"
    double restore_ms = 0;
    double queue_ms = 0;               // from the request's arrival until it was admitted
    std::vector<std::string> repairs;  // what was changed in the prompt so that its prefix stays the same, one sentence each
    std::optional<PrefixMiss> miss;
};

// Nothing happened for some seconds: the request waits for its place, or for a token. It tells a client that the server lives.
struct ChatWaiting {};

struct ChatProgress {  // of the prefill, in tokens
    std::uint64_t done = 0, total = 0;
};

struct ChatThinking {
    std::uint32_t choice = 0;
    std::string text;
};

struct ChatText {
    std::uint32_t choice = 0;
    std::string text;  // whole UTF-8 characters
    std::vector<TokenLogprob> logprobs;
};

// A call: its begin, its arguments piece by piece (together a JSON object), its end. Calls of one choice don't overlap.
struct ChatCallBegin {
    std::uint32_t choice = 0;
    std::uint32_t index = 0;  // of the call in the answer
    std::string id, name;
};
struct ChatCallArguments {
    std::uint32_t choice = 0;
    std::uint32_t index = 0;
    std::string text;
};
struct ChatCallEnd {
    std::uint32_t choice = 0;
    std::uint32_t index = 0;
};

enum class FinishReason : std::uint8_t {
    stop,         // the model ended its turn
    stop_string,  // before one of Sampling::stop
    length,       // max_tokens
    context,      // the context is full
    tool_calls,   // the model ended its turn with calls
    cancelled,
};

struct ChatFinished {  // of one choice
    std::uint32_t choice = 0;
    FinishReason reason = FinishReason::stop;
    std::string stop_string;            // which one
    std::uint64_t answer_tokens = 0;    // sampled, the end-of-turn token included
    std::uint64_t thinking_tokens = 0;  // of those
    double ttft_ms = 0, decode_ms = 0;
    bool committed = true;  // as in TurnResult
    std::string warning;
};

// Order: ChatStarted once; ChatProgress any number of times; then for each choice thinking, text and calls, and ChatFinished. The
// choices' events may be mixed. ChatWaiting may come at any time, also first.
using ChatEvent = std::variant<ChatStarted, ChatProgress, ChatWaiting, ChatThinking, ChatText, ChatCallBegin, ChatCallArguments,
                               ChatCallEnd, ChatFinished>;
using ChatSink = std::function<void(const ChatEvent &)>;

}  // namespace engram
