// The workflow runs of a server: each on a thread of its own, whoever listens or not, and what happens in them for those who do.
//
// Thread-safe. A run holds the model as a request does: it isn't changed meanwhile.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "server/model_host.h"
#include "tenants/tenants.h"
#include "workflow/approval.h"
#include "workflow/executor.h"
#include "workflow/run_store.h"

namespace engram::server {

class WorkflowHost {
  public:
    struct Options {
        RunAgent run_agent;
        std::function<void(std::string_view)> warn;  // a sentence for the operator; may be null
    };
    // The others must outlive it.
    WorkflowHost(std::unique_ptr<workflow::RunStore> store, ModelHost &models, Tenants &tenants, Options options);
    ~WorkflowHost();  // as stop

    workflow::RunStore &store() { return *store_; }

    // invalid_argument (definition, inputs), over_budget (as many run as may, of the tenant or of all), io, cancelled (the server
    // stops).
    Result<workflow::RunRow> begin(const workflow::NewRun &run);
    // Goes on with a run of the store's. not_found; locked: it runs already; as above.
    Result<workflow::RunRow> resume(const workflow::RunKey &key);
    // A person's decision about a step that waits: the run goes on with it, here or where it runs already. not_found;
    // invalid_argument: the step waits for nobody; as begin.
    Result<workflow::RunRow> decide(const workflow::RunKey &key, const workflow::Decision &decision);
    // Ends a run as soon as its turns have heard of it; one that nobody runs at once. not_found; invalid_argument: it has ended.
    Result<void> cancel(const workflow::RunKey &key);
    // Those that the last process left behind.
    void resume_unfinished();

    // Ends all of them as interrupted, and waits for that. None begins afterwards.
    void stop();

    // What has happened in a run since this process began with it. A listener has whatever comes until `ended`.
    struct Live {
        std::mutex mutex;
        std::condition_variable_any changed;
        std::vector<workflow::Event> events;  // guarded by mutex, as is `ended`
        bool ended = false;

        bool has_ended() {
            const std::scoped_lock lock(mutex);
            return ended;
        }
    };
    std::shared_ptr<Live> live(const workflow::RunKey &key);  // null: it doesn't run

  private:
    struct Running {
        std::shared_ptr<Live> live;
        std::jthread thread;
    };

    // With mutex_ held, unless they say otherwise.
    Result<void> may_start(const workflow::RunKey &key);
    void start(const workflow::RunKey &key);
    bool runs(const workflow::RunKey &key);
    void work(const workflow::RunKey &key, Live &live, const std::stop_token &stop);
    bool end(const workflow::RunKey &key, Live &live, const Result<workflow::RunRow> &ended);  // takes mutex_ itself
    Result<workflow::RunRow> run_until_written_down(const workflow::RunKey &key, Live &live, const std::stop_token &stop);
    Result<void> put_failed(const workflow::RunKey &key, const std::string &why);
    Result<workflow::RunRow> run(const workflow::RunKey &key, Live &live, const std::stop_token &stop);
    RunAgent counted(std::string tenant);
    workflow::Admit admission(std::string tenant);

    const std::unique_ptr<workflow::RunStore> store_;
    ModelHost &models_;
    Tenants &tenants_;
    const Options options_;

    std::mutex mutex_;                             // guards what follows
    std::map<workflow::RunKey, Running> running_;  // those that have ended go with the next that begins or is cancelled
    bool stopping_ = false;
};

}  // namespace engram::server
