// Fuzz entry of what a foreign A2A server says: each line is one value, read as a card, as an event of a stream, and as a
// refusal. What is put together of the events is text, and no longer than what was said.
#include "a2a/answer.h"
#include "chat/bounded_json.h"
#include "core/testing/fuzz.h"
#include "protocol/a2a/read_answer.h"

namespace {

using namespace engram;
using namespace engram::protocol::a2a;
using fuzz::require;
using protocol::Field;

bool is_text(const std::string &text) {
    try {
        static_cast<void>(OrderedJson(text).dump());
        return true;
    } catch (const OrderedJson::exception &) {
        return false;
    }
}

void check_card(const OrderedJson &json) {
    const auto card = read_card(Field(json));
    if (!card) return require(!card.error().message.empty());
    for (const Interface &interface : card->interfaces) {
        require(!interface.url.empty());
        require(interface.binding == Binding::json_rpc || interface.version == WireVersion::v1_0);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    std::string_view rest = fuzz::text_of(data, size);
    a2a::Answer answer;
    std::size_t heard = 0;
    while (!rest.empty()) {
        const auto [line, further] = fuzz::two_texts(rest);
        rest = further;
        const auto json = parse_bounded_json(line, 1U << 20U);
        if (!json) continue;
        check_card(*json);
        require(is_text(read_refusal(Field(*json)).message));
        const auto event = read_event(Field(*json));
        if (!event) {
            require(!event.error().message.empty());
            continue;
        }
        const std::string piece = answer.take(*event);
        require(is_text(piece));
        heard += line.size();
    }
    const std::string text = answer.text();
    require(is_text(text) && is_text(answer.status_text()) && text.size() <= 8 * heard + 64);
    static_cast<void>(answer.over());
    return 0;
}
