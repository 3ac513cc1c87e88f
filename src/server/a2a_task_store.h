// Tasks of A2A clients, their messages and where to tell of them: durable, in a file of its own (tasks.db) beside the registry.
//
// A task belongs to a tenant, to a context of it, and to the agent at whose address it was sent (empty: the server's own
// address); `memory` is the agent whose transcript the task's conversation is. What is written is on disk when a call returns.
// Each row carries a checksum: a damaged task is `corrupt` when it is asked for, and left out of lists.
//
// What webhooks are to be told is stored in one transaction with the change that it tells of, and stays until somebody removes it
// (a2a_push.h).
//
// Bounded: of a tenant's tasks that don't run the newest kMaxTasks stay, and those of the last thirty days (remove_old).
// Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engram/error.h"
#include "protocol/a2a/values.h"
#include "sqlite/database.h"

namespace engram::server {

struct StoredTask {
    std::string tenant, agent, memory;
    protocol::a2a::Task task;
    std::string pending;  // of a task that waits for a person: the calls, a JSON list; empty: none
    std::int64_t created_ms = 0;
    std::vector<std::string> output_modes;  // media types that the client takes its answer in; empty: any
};

// What a webhook is to be told, with the webhook as it was then.
struct A2aNotification {
    std::int64_t id = 0;  // the store's; a later one has a greater one
    std::string tenant;
    protocol::a2a::PushConfig hook;
    std::string body;
    std::int64_t created_ms = 0;
};
// One of them, without its text.
struct WaitingNotification {
    std::int64_t id = 0;
    std::string tenant, task, hook;
    std::uint64_t body_bytes = 0;
    std::int64_t created_ms = 0;
};

class A2aTaskStore {
  public:
    static constexpr std::uint64_t kMaxTasks = 10'000;  // of each tenant

    // Creates the file when absent (0600). io, corrupt, incompatible, locked.
    static Result<std::unique_ptr<A2aTaskStore>> open(const std::filesystem::path &file);

    // A new task with its history. already_exists: never, ids are random; then `corrupt`.
    Result<void> create(const StoredTask &stored);
    // Its status, artifacts, metadata, pending calls and output modes as they are now, and the messages of its history from the
    // `known`-th on; with it what its webhooks are to be told, which get their ids.
    Result<void> update(const StoredTask &stored, std::size_t known, std::span<A2aNotification> notifications = {});
    Result<std::optional<StoredTask>> find(std::string_view tenant, std::string_view id);

    struct Query {
        std::string tenant;
        std::optional<std::string> agent;  // none given: of all
        protocol::a2a::ListQuery list;
    };
    struct Page {
        std::vector<StoredTask> tasks;  // the one that changed last comes first
        std::string next_token;         // empty: these were the last
        std::uint64_t total = 0;        // on all pages
    };
    Result<Page> list(const Query &query);  // invalid_argument: the page's token

    Result<void> put_hook(std::string_view tenant, const protocol::a2a::PushConfig &hook);  // replaces the one of that id
    Result<std::vector<protocol::a2a::PushConfig>> hooks(std::string_view tenant, std::string_view task);  // by id
    Result<void> remove_hook(std::string_view tenant, std::string_view task, std::string_view id);  // it is told nothing more

    Result<std::vector<WaitingNotification>> waiting_notifications();      // the oldest first
    Result<std::optional<A2aNotification>> notification(std::int64_t id);  // corrupt: damaged
    Result<void> remove_notification(std::int64_t id);

    // What was at work or waited for that when the process ended, for whoever opens the file again; what came first is first.
    Result<std::vector<StoredTask>> unfinished();
    // Tasks that don't run: those whose status is older, and those beyond kMaxTasks of a tenant.
    Result<void> remove_old(std::int64_t status_before_ms);

  private:
    explicit A2aTaskStore(sqlite::Database database) : database_(std::move(database)) {}
    Result<void> prepare();
    Result<void> put_messages(const StoredTask &stored, std::size_t known);
    Result<void> put_notification(A2aNotification &notification);
    Result<std::optional<StoredTask>> read(sqlite::Run &run, bool whole);
    Result<void> read_history(StoredTask &stored);
    Result<void> remove_rows(const std::string &which);

    std::mutex mutex_;  // for all that follows
    sqlite::Database database_;
    sqlite::Statement create_, update_, find_, history_, put_message_, put_hook_, hooks_, remove_hook_, unfinished_;
    sqlite::Statement put_notification_, waiting_, notification_, remove_notification_, remove_notifications_;
};

}  // namespace engram::server
