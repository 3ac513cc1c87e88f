// Fuzz entry of what a foreign tool server answers: each line is one message, given for what the client asks next. Whatever a
// server says, its tools stay within their limits, and an answer is a text or an error.
#include <deque>

#include "core/testing/fuzz.h"
#include "mcp/client.h"
#include "mcp/tool_limits.h"

namespace {

using namespace engram;
using namespace engram::mcp;
using fuzz::require;

constexpr std::size_t kMostBytes = 1U << 20U;

// Answers with the lines, one after the other; notifications among them are told first.
class Script final : public Link {
  public:
    explicit Script(std::string_view text) {
        while (!text.empty()) {
            const auto [line, further] = fuzz::two_texts(text);
            lines_.emplace_back(line);
            text = further;
        }
    }

    Result<protocol::RpcResult<OrderedJson>> ask(const std::string &, OrderedJson params, const Asking &asking) override {
        require(params.is_object());
        while (!lines_.empty()) {
            auto message = protocol::read_rpc(lines_.front(), kMostBytes);
            lines_.pop_front();
            if (!message) continue;
            if (auto *response = std::get_if<protocol::RpcResponse>(&*message)) return std::move(response->outcome);
            const auto *told = std::get_if<protocol::RpcNotification>(&*message);
            if (told != nullptr && asking.on_notification) asking.on_notification(*told);
        }
        return fail(ErrorCode::io, "it has ended");
    }
    Result<void> tell(const std::string &, OrderedJson) override { return {}; }
    void speak(std::string) override {}
    bool broken() const override { return lines_.empty(); }
    bool tools_have_changed() override { return false; }

  private:
    std::deque<std::string> lines_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string_view text = fuzz::text_of(data, size);
    auto client = Client::connect({.name = "foreign", .command = "none"}, std::make_unique<Script>(text), {});
    if (!client) {
        require(!client.error().message.empty());
        return 0;
    }
    const auto tools = (*client)->tools({});
    if (!tools) return 0;
    for (const Tool &tool : *tools) {
        require(!tool.name.empty() && tool.input_schema.size() <= kMaxToolBytes && tool.headers.size() <= kMaxToolHeaders);
        require(parse_bounded_json(tool.input_schema, kMaxToolBytes).has_value());
    }
    const Tool tool =
        tools->empty() ? Tool{.name = "none", .description = {}, .input_schema = "{}", .headers = {}} : tools->front();
    const auto reply = (*client)->call(tool, {{"city", "Lisbon"}}, [](const Progress &) {}, {});
    if (reply) require(reply->text.size() <= 8 * size + 256);
    return 0;
}
