// What a step that waits for a person's approval has in place of a result: the calls that its agent wants to make, and, when
// there is one, the decision. It is written down with the step, so that both outlive the process.
#pragma once

#include <map>
#include <span>
#include <string>

#include "engram/chat.h"
#include "workflow/run_store.h"

namespace engram::workflow {

std::string waiting_text(std::span<const ChatToolCall> calls);  // a step's text while it waits
OrderedJson calls_of(const StepRow &waiting);                   // a list of {"id", "agent" (a colleague's), "name", "arguments"}
bool is_decided(const StepRow &waiting);
std::map<std::string, bool> approvals_of(const StepRow &waiting);  // by the calls' ids; empty: nothing is decided

struct Decision {
    std::string node;
    std::int64_t item = kWholeNode;  // of a node with for_each: the element
    bool allow = false;              // all of its calls, or none
};
// Writes it down; whoever runs the run, or resumes it, goes on with it. not_found; invalid_argument: the node waits for nobody.
Result<void> decide(RunStore &store, const RunKey &key, const Decision &decision);

// Whether a step of the run can go on with what was decided.
Result<bool> any_decided(RunStore &store, const RunKey &key);

}  // namespace engram::workflow
