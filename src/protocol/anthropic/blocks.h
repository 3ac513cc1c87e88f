// Content blocks that are text to the model, in whatever shape they come. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/anthropic/tools.h"
#include "protocol/field.h"

namespace engram::protocol::anthropic {

// Reads the text of blocks one after the other, in the order of the conversation: it knows which tools were announced on the way.
class BlockText {
  public:
    // `longest` is raised by the blocks' cache_control. Both must outlive this.
    BlockText(const ToolSet &tools, Retention &longest);

    enum class Place : std::uint8_t { message, tool_result };

    // The block's text; nullopt when it has none for this model and is to be left out. invalid_request when its type is unknown.
    ApiResult<std::optional<std::string>> read(const Field &block, std::string_view type, Place place);

    // A string, or blocks that are joined with line feeds. An absent one is empty. invalid_request.
    ApiResult<std::string> read_content(const Field &content, Place place);

    ApiResult<void> note(const Field &block);  // the block's cache_control

    // Tools that blocks have told of, and names of those that blocks have withdrawn, by now.
    const std::vector<ChatTool> &told() const { return told_; }
    const std::vector<std::string> &withdrawn() const { return withdrawn_; }

  private:
    ApiResult<std::string> read_document(const Field &block, Place place);
    ApiResult<std::string> read_search_result(const Field &block);
    ApiResult<std::string> read_addition(const Field &tool);
    std::string announce(std::string_view name);
    void tell(const ChatTool &tool);

    // All tools by name, with the definition that the model has not read yet: each is written once.
    std::map<std::string, const ChatTool *, std::less<>> tools_;
    std::vector<ChatTool> told_;
    std::vector<std::string> withdrawn_;
    Retention &longest_;
};

}  // namespace engram::protocol::anthropic
