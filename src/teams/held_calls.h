// What is known of the calls of an answer as long as the model can't read their results, since one of them waits for a person:
// what was decided about each, what came of it, what it waits for.
//
// The calls themselves are the transcript's last ones (docs/adr/0013); this is what must not be lost beside them
// (docs/adr/0018-approvals-below.md). It is found by a call's id, which is nobody else's. Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engram/teams.h"
#include "teams/team_store.h"

namespace engram {

struct HeldCall {
    std::optional<bool> allowed = std::nullopt;  // a person's decision
    bool made = false;                           // there is a result: `text`
    bool failed = false;
    std::string text = {};
    ToolWait wait = {};  // without decisions; calls: there is no result yet, and these must be decided about

    bool waits() const { return !made && !wait.calls.empty(); }
};

class HeldCalls {
  public:
    explicit HeldCalls(TeamStore *store) : store_(store) {}  // null: nothing outlives this

    using ById = std::map<std::string, HeldCall, std::less<>>;
    Result<ById> find(std::string_view tenant, std::span<const ChatToolCall> calls);
    Result<void> keep(std::string_view tenant, const ById &calls);
    void forget(std::string_view tenant, std::span<const ChatToolCall> calls);

  private:
    TeamStore *const store_;
    std::mutex mutex_;
    std::map<std::pair<std::string, std::string>, HeldCall>
        kept_;  // guarded by mutex_: by tenant and id, where there is no store
};

// An agent's call that waits, in the words of whoever gave it the work, and back; nothing: it isn't that agent's.
std::string id_below(std::string_view agent, std::string_view id);
std::optional<std::string_view> id_within(std::string_view agent, std::string_view id);
// What stands in place of a call's result as long as that agent's calls wait.
std::string waits_text(std::string_view agent);
// What stands in place of a colleague's answer that its own memory doesn't have, after its name.
inline constexpr std::string_view kWontRemember = "could not write down what it answered, and won't remember it";

}  // namespace engram
