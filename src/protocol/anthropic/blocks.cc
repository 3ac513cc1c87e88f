#include "protocol/anthropic/blocks.h"

#include <algorithm>
#include <array>
#include <format>
#include <utility>

#include "chat/tool_call.h"
#include "protocol/anthropic/cache_control.h"

namespace engram::protocol::anthropic {
namespace {

constexpr std::size_t kMaxBlocks = 100'000;
constexpr std::size_t kMaxTold = 4096;  // tools that messages add or take away: they are looked up one by one
constexpr std::string_view kTooManyTold = "is one of more tools than messages may add or remove";

// Calls of tools that ran at the vendor, their results (their content is encrypted or of no use to another model), and marks of
// the vendor's own.
bool is_only_for_vendor(std::string_view type) {
    constexpr std::array<std::string_view, 8> kTypes{"redacted_thinking", "server_tool_use",  "mcp_tool_use", "mcp_tool_result",
                                                     "mcp_tool_listing",  "container_upload", "fallback",     "connector_text"};
    return std::ranges::contains(kTypes, type) || (type.ends_with("_tool_result") && type != "tool_result");
}

ApiResult<std::string> unreadable(const Field &block, BlockText::Place place, std::string_view what) {
    if (place == BlockText::Place::tool_result) return std::format("[{} was here; this model reads text only]", what);
    return block.wrong(std::format("{} can't be read: this model reads text only", what));
}

ApiResult<void> add_line(const Field &field, std::string_view element, std::string &text) {
    if (!field.present()) return {};
    ENGRAM_ASSIGN(const std::string line, field.text());
    text += std::format("<{0}>{1}</{0}>\n", element, line);
    return {};
}

}  // namespace

BlockText::BlockText(const ToolSet &tools, Retention &longest) : longest_(longest) {
    for (const ChatTool &tool : tools.shown) tools_.emplace(tool.name, nullptr);
    for (const ChatTool &tool : tools.deferred) tools_.emplace(tool.name, &tool);
}

ApiResult<void> BlockText::note(const Field &block) { return note_cache_control(block, longest_); }

ApiResult<std::optional<std::string>> BlockText::read(const Field &block, std::string_view type, Place place) {
    ENGRAM_TRY(note(block));
    if (type == "text") {
        ENGRAM_ASSIGN(std::string text, block["text"].text());
        if (text.empty() && place == Place::message) return block["text"].wrong("text content blocks must be non-empty");
        return text;
    }
    if (type == "document") return read_document(block, place);
    if (type == "search_result") return read_search_result(block);
    if (type == "image") return unreadable(block, place, "an image");
    if (type == "browser_state") return unreadable(block, place, "a browser's state");
    if (type == "tool_reference") {
        ENGRAM_ASSIGN(const std::string name, block["tool_name"].text());
        return announce(name);
    }
    if (type == "tool_addition") return read_addition(block["tool"]);
    if (type == "tool_removal") {
        ENGRAM_TRY(block["tool"].must_be_object());
        if (!block["tool"]["name"].present()) return std::nullopt;  // an MCP server's tools
        ENGRAM_ASSIGN(const std::string name, block["tool"]["name"].text());
        if (!std::ranges::contains(withdrawn_, name)) {
            if (withdrawn_.size() == kMaxTold) return block["tool"].wrong(kTooManyTold);
            withdrawn_.push_back(name);
        }
        return std::format("The tool {} can't be called any more.", name);
    }
    if (type == "compaction") {
        ENGRAM_ASSIGN(std::string text, block["content"].text_or(""));
        return text.empty() ? std::nullopt : std::optional(std::move(text));
    }
    if (is_only_for_vendor(type)) return std::nullopt;
    return block["type"].wrong(std::format("\"{}\" is no block type that is allowed here", type));
}

ApiResult<std::string> BlockText::read_content(const Field &content, Place place) {
    if (!content.present()) return std::string();
    if (content.is_text()) return content.text();
    if (!content.is_array()) return content.wrong("must be a string or an array of blocks");
    ENGRAM_TRY(content.must_be_array(0, kMaxBlocks));
    std::string all;
    bool first = true;
    for (const Field &block : content.elements()) {
        ENGRAM_TRY(block.must_be_object());
        ENGRAM_ASSIGN(const std::string type, block["type"].text());
        ENGRAM_ASSIGN(const std::optional<std::string> text, read(block, type, place));
        if (!text) continue;
        if (!std::exchange(first, false)) all += '\n';
        all += *text;
    }
    return all;
}

ApiResult<std::string> BlockText::read_document(const Field &block, Place place) {
    const Field source = block["source"];
    ENGRAM_TRY(source.must_be_object());
    ENGRAM_ASSIGN(const std::string type, source["type"].text());
    std::string text = "<document>\n";
    ENGRAM_TRY(add_line(block["title"], "title", text));
    ENGRAM_TRY(add_line(block["context"], "context", text));
    if (type == "text") {
        ENGRAM_ASSIGN(const std::string data, source["data"].text());
        text += data;
    } else if (type == "content") {
        ENGRAM_ASSIGN(const std::string data, read_content(source["content"], place));
        text += data;
    } else if (type == "base64" || type == "url" || type == "file") {
        return unreadable(source, place, "a PDF or another file");
    } else {
        return source["type"].wrong(R"(must be "text" or "content")");
    }
    return text + "\n</document>";
}

ApiResult<std::string> BlockText::read_search_result(const Field &block) {
    std::string text = "<search_result>\n";
    ENGRAM_TRY(add_line(block["title"], "title", text));
    ENGRAM_TRY(add_line(block["source"], "source", text));
    ENGRAM_ASSIGN(const std::string content, read_content(block["content"], Place::tool_result));
    return text + content + "\n</search_result>";
}

ApiResult<std::string> BlockText::read_addition(const Field &tool) {
    ENGRAM_TRY(tool.must_be_object());
    ENGRAM_ASSIGN(const std::string type, tool["type"].text());
    if (type == "tool_definition") {
        ENGRAM_ASSIGN(const ChatTool defined, read_tool(tool["definition"]));
        if (told_.size() == kMaxTold) return tool.wrong(kTooManyTold);
        tools_.insert_or_assign(defined.name, &defined);
        return announce(defined.name);
    }
    ENGRAM_ASSIGN(const std::string name, tool["name"].text_or(""));
    return name.empty() ? std::string("The tools of an MCP server are not available.") : announce(name);
}

// A tool that is defined anew replaces the older one.
void BlockText::tell(const ChatTool &tool) {
    std::erase_if(told_, [&](const ChatTool &other) { return other.name == tool.name; });
    told_.push_back(tool);
}

std::string BlockText::announce(std::string_view name) {
    const auto known = tools_.find(name);
    if (known == tools_.end()) return std::format("The tool {} is not available.", name);
    std::erase(withdrawn_, name);
    const ChatTool *const unread = std::exchange(known->second, nullptr);
    if (unread != nullptr) tell(*unread);
    if (unread == nullptr) return std::format("The tool {} can be called from here on.", name);
    return std::format("The tool {} can be called from here on:\n{}", name, tool_json(*unread));
}

}  // namespace engram::protocol::anthropic
