// An agent's card as JSON: in the registry, in an export, in requests and answers. Pure.
#pragma once

#include <string>
#include <string_view>

#include "chat/bounded_json.h"
#include "engram/card.h"
#include "engram/error.h"

namespace engram {

// {"owner":…,"labels":[…],"skills":[{"id":…,"name":…,"description":…,"tags":[…],"examples":[…]}],"colleagues":[…],
// "managed_by":…,"team":…,"tools":[…],"approvals":[…],"compaction":…}, without the members that say nothing.
OrderedJson card_json(const AgentCard &card);
std::string card_text(const AgentCard &card);     // of an empty card: empty
std::string card_of_fork(std::string_view text);  // a card's text for a fork, which no role file knows; what can't be read stays

// Members that aren't known are left out. invalid_argument: a member of another type, a skill without an id or with another's, an
// id of a colleague that no agent can have, more than kMaxCardBytes; the sentence names the member.
inline constexpr std::size_t kMaxCardBytes = 256UZ << 10U;
Result<AgentCard> card_of(const OrderedJson &json);
Result<AgentCard> parse_card(std::string_view text);  // an empty text is an empty card

}  // namespace engram
