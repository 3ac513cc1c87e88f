// The steps of a run that wait for a person's approval.
#include <algorithm>

#include "workflow/approval.h"
#include "workflow/run_under_way.h"

namespace engram::workflow {

bool RunUnderWay::any_waits() const {
    return std::ranges::any_of(nodes_,
                               [](const NodeState &state) { return std::ranges::any_of(state.elements, &Element::waits); });
}

// Of steps that wait while others run.
void RunUnderWay::hear_decisions() {
    if (!any_waits()) return;
    const auto rows = parts_.runs.steps(run_.key);
    if (!rows) return;  // they are looked for again
    for (const StepRow &row : *rows) {
        if (row.state != StepState::waiting || !is_decided(row)) continue;
        for (NodeState &state : nodes_) {
            for (Element &element : state.elements) {
                if (!element.waits || element.row.node != row.node || element.row.item != row.item) continue;
                element.row.text = row.text;
                element.waits = false;
            }
        }
    }
}

// A run that ends without an answer from a person does without: who resumes it begins those steps anew.
Result<void> RunUnderWay::give_up_waiting() {
    for (NodeState &state : nodes_) {
        for (Element &element : state.elements) {
            if (element.done || element.row.state != StepState::waiting) continue;
            element.waits = false;
            element.row.state = StepState::failed;
            element.row.text.clear();
            element.row.error = "its calls of tools weren't made: the run ended before";
            element.row.ended_ms = journal_.now_ms();
            ENGRAM_TRY(journal_.put(element.row));
        }
    }
    return {};
}

}  // namespace engram::workflow
