#include "workflow/executor.h"

#include <format>

#include "core/random_name.h"
#include "workflow/run_under_way.h"

namespace engram::workflow {

Result<RunRow> begin_run(RunStore &store, const NewRun &run, Clock &clock) {
    ENGRAM_ASSIGN(const Definition definition, parse_definition(run.definition, run.file));
    ENGRAM_ASSIGN(const OrderedJson inputs, complete_inputs(definition, run.inputs));
    RunRow row;
    row.key = {.tenant = run.tenant, .id = random_name("")};
    row.name = definition.name;
    row.file = run.file;
    row.definition = run.definition;
    row.inputs = inputs.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    row.state = RunState::running;
    row.created_ms = clock.wall_ms();
    ENGRAM_TRY(store.create(row));
    return row;
}

Result<RunRow> Executor::run(const RunKey &key, const EventSink &sink, std::stop_token stop) {
    ENGRAM_TRY(parts_.runs.reopen(key));
    ENGRAM_ASSIGN(RunRow row, parts_.runs.get(key));
    if (row.state == RunState::finished) return row;
    ENGRAM_ASSIGN(Definition definition, parse_definition(row.definition, row.file));
    RunUnderWay under_way(parts_, std::move(row), std::move(definition), sink);
    return under_way.go(stop);
}

}  // namespace engram::workflow
