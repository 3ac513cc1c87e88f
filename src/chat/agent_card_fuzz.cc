// Fuzz entry of agents' cards: what is read is within its limits, and the same when it is written and read again.
#include "chat/agent_card.h"
#include "core/ids.h"
#include "core/testing/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    using namespace engram;
    using fuzz::require;
    const std::string_view text = fuzz::text_of(data, size);
    const auto card = parse_card(text);
    if (!card) {
        require(!card.error().message.empty() && card_of_fork(text) == text);
        return 0;
    }
    const std::string written = card_text(*card);
    require(written.size() <= kMaxCardBytes);
    const auto again = parse_card(written);
    require(again.has_value() && *again == *card);
    for (const std::string &colleague : card->colleagues) require(validate_agent_id(colleague).has_value());
    require(parse_card(card_of_fork(text)).has_value());
    return 0;
}
