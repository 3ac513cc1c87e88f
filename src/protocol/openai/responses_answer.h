// The answer of the Responses API, out of ChatEvents: as events while it is written, and the response object.
//
//     ResponsesAnswer answer(head, request, id_suffix);
//     send(answer.begin());                                  // response.created, response.in_progress
//     for each event: send(answer.frames(event));            // often empty
//     send(answer.end(now));                                 // response.completed or .incomplete; or answer.fail(error)
//     store(answer.response(), request.input_items, the conversation with answer.message() behind it);
//
// A request that isn't streamed goes the same way, with nothing sent; its answer is response(). The answer's thinking, text and
// calls become output items in the order in which they come, each with the events that are documented for it; item ids are made
// from `id_suffix` and the item's output_index. The object of the last event is response(). Pure; one object for one answer, used
// by one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engram/chat.h"
#include "protocol/api_error.h"
#include "protocol/openai/responses_request.h"
#include "protocol/openai/wire.h"

namespace engram::protocol::openai {

class ResponsesAnswer {
  public:
    ResponsesAnswer(AnswerHead head, const ResponsesRequest &request, std::string_view id_suffix);

    std::string begin();
    std::string frames(const ChatEvent &event);
    std::string end(std::int64_t completed_s);
    std::string fail(const ApiError &error);

    OrderedJson response() const;
    ChatMessage message() const;  // for the stored conversation

  private:
    enum class ItemKind : std::uint8_t { none, thinking, text, call };
    enum class Status : std::uint8_t { in_progress, completed, incomplete, cancelled, failed };

    std::string event(std::string_view type, const OrderedJson &data);
    OrderedJson place() const;  // output_index and item_id of the open item
    OrderedJson open_part() const;
    OrderedJson open_item(std::string_view status) const;
    std::string open(ItemKind kind);
    std::string close(std::string_view status);
    std::string add_text(ItemKind kind, const std::string &text, const std::vector<TokenLogprob> &logprobs);
    std::string begin_call(const ChatCallBegin &call);
    std::string lifecycle(std::string_view type);

    AnswerHead head_;
    OrderedJson echo_;
    std::map<std::string, NamespacedName, std::less<>> namespaces_;
    std::string id_suffix_;
    bool encrypted_thinking_;
    bool streams_;

    std::uint64_t sequence_ = 0;
    OrderedJson output_ = OrderedJson::array();  // items that are done
    ItemKind kind_ = ItemKind::none;             // of the open one
    std::string text_;                           // of the open item: thinking, text or arguments
    OrderedJson logprobs_ = OrderedJson::array();
    ChatToolCall call_;

    ChatMessage message_{.role = "assistant", .content = ""};
    ChatStarted started_;
    ChatFinished finished_;
    Usage usage_;
    Status status_ = Status::in_progress;
    std::optional<std::int64_t> completed_s_;
    OrderedJson error_;
};

}  // namespace engram::protocol::openai
