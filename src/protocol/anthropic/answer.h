// The answer in the shape of Anthropic's Messages: as server-sent events while it comes, or as one message.
//
//     MessageAnswer answer("msg_…", "req_…", request->shape, MessageAnswer::Mode::stream);
//     for each ChatEvent: send(answer.on(event));
//
// Both are made of the same events in the same way: who puts the stream's pieces together has the message. Not thread-safe; pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "chat/bounded_json.h"
#include "engram/chat.h"
#include "protocol/api_error.h"

namespace engram::protocol::anthropic {

// What the answer must know of its request.
struct AnswerShape {
    std::string model;                          // is repeated
    Retention retention = Retention::standard;  // what its cache_control asked for; standard: it has none
    bool shows_thinking = true;                 // false: thinking blocks come without their text
    bool reports_context_management = false;    // it has this field: the answer says that nothing was edited
    bool reports_cache_miss = false;            // it has `diagnostics`: the answer says why a prefix could not be used
};

class MessageAnswer {
  public:
    enum class Mode : std::uint8_t { stream, whole };

    MessageAnswer(std::string message_id, std::string request_id, AnswerShape shape, Mode mode);

    // The next event of the answer, in chat.h's order; choices other than the first are not looked at. With `stream` the frames
    // that it makes, maybe none: message_start and a ping when it starts; a ping for progress and waiting, so the caller decides
    // how often; content_block_start, _delta and _stop; message_delta and message_stop at the end, or an error when it was
    // cancelled. With `whole` always empty. A warning, which the protocol has no place for, is told as the openai answers do: in
    // a member `engram` of message_delta, or of the message.
    //
    // White space at the beginning of a text or thinking block waits for what follows, and is dropped when that is another block:
    // a block that says nothing would be refused when the client sends it back.
    std::string on(const ChatEvent &event);

    bool finished() const { return finished_; }

    // With `whole`, once finished: the body. overloaded: the answer was cancelled. A tool's arguments that were cut off, so that
    // they are no JSON, are {}.
    ApiResult<std::string> message() const;

  private:
    enum class Block : std::uint8_t { none, text, thinking, tool_use };

    void take(const ChatStarted &started);
    void take(const ChatProgress &progress);
    void take(const ChatWaiting &waiting);
    void take(const ChatThinking &thinking);
    void take(const ChatText &text);
    void take(const ChatCallBegin &call);
    void take(const ChatCallArguments &piece);
    void take(const ChatCallEnd &end);
    void take(const ChatFinished &finished);

    void add(Block kind, std::string_view text);
    void open(Block kind, OrderedJson block);
    void delta(OrderedJson delta);
    void close();

    OrderedJson usage() const;  // what of it is known at the beginning
    OrderedJson head() const;   // the message as it begins
    void emit(std::string_view event, const OrderedJson &data);

    std::string message_id_, request_id_;
    AnswerShape shape_;
    Mode mode_;

    std::string frames_;  // of the current call of on()
    ChatStarted started_;
    Block open_ = Block::none;
    std::uint64_t index_ = 0;  // of the open block, or of the next
    Block held_for_ = Block::none;
    std::string held_;                            // white space that a block of this kind may begin with
    OrderedJson block_;                           // whole: the open one
    std::string text_;                            // whole: its text, or its arguments
    OrderedJson content_ = OrderedJson::array();  // whole: the closed ones
    OrderedJson end_;                             // whole: what message_delta says
    bool finished_ = false, cancelled_ = false;
};

// A frame that says nothing: it keeps a connection open while a request waits. Also allowed before message_start.
std::string ping_frame();

// What ends a stream in which something went wrong.
std::string error_frame(const ApiError &error, std::string_view request_id);

// The answer to count_tokens.
std::string token_count(std::uint64_t tokens, const AnswerShape &shape);

}  // namespace engram::protocol::anthropic
