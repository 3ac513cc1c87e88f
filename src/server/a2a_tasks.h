// The tasks that A2A clients gave to agents: made, run, watched, cancelled, and kept (a2a_task_store.h).
//
// A task runs on a thread of the pool here, whether or not its client waits for it, and is counted among the requests to the
// model all that time. Tasks whose conversation is the same agent's run one after the other, in the order in which they came.
// Each change of a task's status is on disk before anybody hears of it; pieces of an answer are told as they come and are on disk
// when the task is. A task whose change can't be stored is failed, which is what it would be after the next start, and that is
// stored as soon as it can be. Subscribers see a task's events in one order, beginning with the task as it is (a2a_streams.h
// writes them).
//
// What was running when the process died is failed when the file is opened again, and says so; what had not begun begins then.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engram/teams.h"
#include "http/worker_pool.h"
#include "protocol/a2a/errors.h"
#include "protocol/a2a/values.h"
#include "server/a2a_push.h"
#include "server/a2a_streams.h"
#include "server/a2a_task_store.h"
#include "server/app.h"

namespace engram::server {

// A client that waits: for events, or for the task once it is over or needs something.
struct A2aListener {
    http::HttpResponder responder;
    std::function<std::string(const protocol::a2a::StreamEvent &)> frame;       // of a stream
    std::function<http::HttpAnswer(const protocol::a2a::StreamEvent &)> whole;  // of an answer: the task, or a message
    std::function<void(int status)> answered;                                   // once, when it is over
    bool stream = false;
};

// Whose tasks a request may see: the tenant's, and at an agent's own address only those that were sent there.
struct A2aPlace {
    std::string tenant;
    std::optional<std::string> agent;
};

class A2aTasks {
  public:
    struct Parts {
        App &app;
        std::unique_ptr<A2aTaskStore> store;
        std::unique_ptr<A2aPush> push;  // of that store
        RunAgent run;
        bool test_mode = false;
    };
    // Fails what was running when the last process ended, begins with what waited then, and removes what is old.
    static Result<std::unique_ptr<A2aTasks>> start(Parts parts);
    ~A2aTasks();

    // Begins a task, or goes on with the one that the message names. When it returns without an error the listener is taken, and
    // answered by others.
    protocol::a2a::A2aResult<void> send(Caller caller, const A2aPlace &place, protocol::a2a::SendRequest request,
                                        A2aListener &listener);
    // Likewise. The stream ends when the task is over.
    protocol::a2a::A2aResult<void> subscribe(const A2aPlace &place, const std::string &task, A2aListener &listener);

    // Tasks are shown as they are, also where the store doesn't have that yet. By which they are chosen and ordered is what the
    // store has.
    protocol::a2a::A2aResult<protocol::a2a::Task> get(const A2aPlace &place, const std::string &task);
    struct Page {
        std::vector<protocol::a2a::Task> tasks;
        std::string next_token;
        std::uint64_t total = 0;
    };
    protocol::a2a::A2aResult<Page> list(const A2aPlace &place, const protocol::a2a::ListQuery &query);
    protocol::a2a::A2aResult<protocol::a2a::Task> cancel(const A2aPlace &place, const std::string &task);

    protocol::a2a::A2aResult<protocol::a2a::PushConfig> create_hook(const A2aPlace &place, protocol::a2a::PushConfig hook);
    protocol::a2a::A2aResult<std::vector<protocol::a2a::PushConfig>> hooks(const A2aPlace &place, const std::string &task);
    protocol::a2a::A2aResult<protocol::a2a::PushConfig> hook(const A2aPlace &place, const protocol::a2a::PushConfigName &name);
    protocol::a2a::A2aResult<void> remove_hook(const A2aPlace &place, const protocol::a2a::PushConfigName &name);

    // No new tasks; those that run have so long, then they are failed. All streams are ended when it returns.
    void stop(std::chrono::milliseconds drain);

  private:
    struct Subscriber {
        A2aStreams::Id stream = 0;
        std::function<std::string(const protocol::a2a::StreamEvent &)> frame;
        bool ends_when_interrupted = true;
    };
    // A task that runs, that somebody watches, or whose state the store didn't take.
    struct Live : std::enable_shared_from_this<Live> {
        std::mutex mutex;  // for what follows
        StoredTask stored;
        std::size_t known_messages = 0;  // of the history, in the store
        std::vector<Subscriber> subscribers;
        std::vector<A2aListener> waiting;
        std::stop_source stop;
        bool running = false;
        std::string held;                     // of the answer: the piece that isn't told yet, because it may be the last one
        bool begun = false;                   // the answer: there is an artifact to append to
        bool unsaved = false;                 // the store has an earlier state
        std::vector<A2aNotification> untold;  // what its webhooks will be told when that is in the store
    };
    using LivePointer = std::shared_ptr<Live>;
    struct Job {
        LivePointer live;
        std::shared_ptr<Caller> caller;
        std::shared_ptr<App::Place> place;
        RunRequest run;
        std::string message_id;
        bool wants_trace = false;
    };
    class Reporter;  // of a run: its events become the task's (a2a_tasks_run.cc)
    using Key = std::pair<std::string, std::string>;

    explicit A2aTasks(Parts parts);
    Result<void> recover();
    protocol::a2a::A2aResult<void> begin_again(const LivePointer &live);

    // A task that somebody is about to look at or to change. One that nobody needs any more is forgotten when the last of them is
    // gone, which takes the task's mutex.
    class Held {
      public:
        Held(A2aTasks &tasks, LivePointer live) : tasks_(&tasks), live_(std::move(live)) {}
        Held(Held &&) = default;
        Held &operator=(Held &&) = delete;
        ~Held();
        explicit operator bool() const { return live_ != nullptr; }
        Live &operator*() const { return *live_; }
        Live *operator->() const { return live_.get(); }
        const LivePointer &pointer() const { return live_; }

      private:
        A2aTasks *tasks_;
        LivePointer live_;
    };
    // Of a task that is known: the live one, or one that is made from the store.
    protocol::a2a::A2aResult<Held> find(const A2aPlace &place, const std::string &task);
    Held find_live(const Key &key);  // false: it neither runs nor is watched, and the store has its state
    std::map<std::string, Held> live_of(const std::string &tenant);  // by their ids
    protocol::a2a::A2aResult<StoredTask> find_stored(const A2aPlace &place, const std::string &task);
    void forget_if_idle(const Key &key);
    protocol::a2a::A2aResult<Held> new_task(const Caller &caller, const A2aPlace &place,
                                            const protocol::a2a::SendRequest &request);
    protocol::a2a::A2aResult<RunRequest> prepare_run(const Live &live, const protocol::a2a::SendRequest &request) const;
    protocol::a2a::A2aResult<void> go_on(Live &live, const protocol::a2a::SendRequest &request);
    protocol::a2a::A2aResult<void> add_hook(const std::string &tenant, protocol::a2a::PushConfig &hook);
    void listen(const LivePointer &live, A2aListener &listener, bool ends_when_interrupted);
    bool answer_with_message(const protocol::a2a::SendRequest &request, A2aListener &listener);

    void enqueue(Job job);
    void work(const std::string &line);
    void perform(const Job &job);
    void play(const Job &job);
    void end_run(Live &live, const Result<RunResult> &result, const RunRequest &request);
    void end_with(Live &live, const RunResult &result, const RunRequest &request);

    void save_unsaved();
    void keep_saving(const std::stop_token &stop);

    // With the task's mutex held.
    // Stores the status, and tells of it; where it can't be stored the task is failed.
    void set_status(Live &live, protocol::a2a::TaskState state, std::optional<protocol::a2a::Message> message = {});
    // Changes and stores it, with the client's message `said`; on an error all is as it was, and nobody has heard of it.
    Result<void> put_status(Live &live, protocol::a2a::TaskState state, std::optional<protocol::a2a::Message> message,
                            const protocol::a2a::Message *said = nullptr);
    void change_status(Live &live, protocol::a2a::TaskState state, std::optional<protocol::a2a::Message> message,
                       const protocol::a2a::Message *said);
    void tell_status(Live &live);
    void add_piece(Live &live, std::string text);
    void finish_answer(Live &live, const std::string &text, AnswerFormat format);
    void put_artifact(Live &live, protocol::a2a::ArtifactUpdate update);
    void publish(Live &live, const protocol::a2a::StreamEvent &event);
    Result<void> put(Live &live);
    void save(Live &live);                                                 // now, or as soon as the store takes it
    void tell_hooks(Live &live, const protocol::a2a::StreamEvent &event);  // with the next that is saved
    void release(Live &live);  // of those who wait for it: it is over, or needs a message

    App &app_;
    const std::unique_ptr<A2aTaskStore> store_;
    const RunAgent run_;
    const bool test_mode_;

    std::mutex mutex_;  // for what follows; never held while a task's is taken
    std::condition_variable changed_;
    std::condition_variable_any unsaved_changed_;
    std::map<Key, LivePointer> live_;
    std::map<std::string, std::deque<Job>> lines_;  // by the agent whose conversation it is; the first of each runs
    bool stopping_ = false;
    bool some_unsaved_ = false;
    std::uint64_t made_ = 0;  // tasks; old ones are removed now and then

    const std::unique_ptr<A2aPush> push_;
    A2aStreams streams_;
    http::WorkerPool pool_;  // last, with the next: their threads use everything above
    std::jthread keeper_;    // saves what could not be saved
};

}  // namespace engram::server
