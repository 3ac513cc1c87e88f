// The tenants of a running server: who a request comes from, what its tenant may do, and what it used.
//
//     const auto principal = tenants.authenticate({.x_api_key = ..., .authorization = ..., .local = ...});
//     if (!principal) return refused(kKeyRefused);
//     RequestAdmission admission = tenants.admit(principal->tenant);
//     if (!admission.granted()) return refused(admission.reason, admission.retry_after_s);
//     ...
//     tenants.record(principal->tenant, agent, {.requests = 1, .computed_tokens = 812, .generated_tokens = 96});
//
// Keys and quotas are answered from memory. A thread of its own looks each second whether a command has changed them, so that a
// revoked key is refused within two seconds, and writes the ledger every five; kill -9 loses what was recorded since.
//
// Threads: thread-safe. What every request calls (authenticate, quota, admit, record) waits for no disk.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ports/clock.h"
#include "tenants/key_ring.h"
#include "tenants/ledger.h"
#include "tenants/principal.h"
#include "tenants/request_quotas.h"
#include "tenants/tenant_store.h"

namespace engram {

// In the home folder.
std::filesystem::path tenants_path(const std::filesystem::path &home);  // tenants.db
std::filesystem::path ledger_path(const std::filesystem::path &home);   // usage.db

// What a request shows of who it is.
struct Credentials {
    std::string_view x_api_key;      // the header's value; empty: none
    std::string_view authorization;  // likewise; only "Bearer KEY" counts
    // The other end of the connection is this machine itself, and it speaks for nobody else (a proxy on this machine does).
    bool local = false;
};

// One sentence for every reason: which part of a key was right is nobody's business.
inline constexpr std::string_view kKeyRefused =
    "a valid API key is needed, in the header `x-api-key: KEY` or `Authorization: Bearer KEY`; `engram key create` makes one";

class Tenants {
  public:
    // Creates the files when absent; the folder must exist. io, locked, corrupt (a file is left as it is), incompatible.
    static Result<std::unique_ptr<Tenants>> open(const std::filesystem::path &home, Clock &clock = system_clock());
    ~Tenants();  // writes what was recorded

    // Nothing: kKeyRefused. As long as no key was ever made, whoever is local is the default tenant with all scopes, whatever key
    // he shows (clients send one always), and everybody else is refused.
    std::optional<Principal> authenticate(const Credentials &credentials);

    Quota quota(std::string_view tenant) const;
    std::vector<std::string> names() const;  // of the tenants that there are
    RequestAdmission admit(std::string_view tenant);
    std::uint64_t running_requests(std::string_view tenant) const { return request_quotas_.running(tenant); }

    // May be called several times for one request, with parts of its numbers, as they become known: tokens count against the
    // quota from then on. `agent` is empty for what belongs to no agent.
    void record(std::string_view tenant, std::string_view agent, const Usage &usage);
    // So many bytes were on disk for so long: called at intervals, for each agent (storage_meter.h).
    void record_stored(std::string_view tenant, std::string_view agent, std::uint64_t bytes, std::uint32_t seconds);

    // With what was recorded until now. Waits for the disk; invalid_argument, corrupt, io.
    Result<std::vector<UsageRow>> usage(const UsageQuery &query);

    // What is wrong with the files, as sentences for the operator; empty: nothing. When they can't be read, what was read last
    // goes on being used.
    std::vector<std::string> problems() const;

    // What the thread does at its intervals, now.
    Result<void> refresh();  // reads keys and quotas when they were changed
    Result<void> flush();    // writes the ledger, and when keys were used

  private:
    Tenants(std::filesystem::path home, Clock &clock) : home_(std::move(home)), clock_(clock), request_quotas_(clock) {}
    std::shared_ptr<const KeyRing> ring() const;
    Result<void> read_if_changed();
    Result<void> read();
    Result<void> write_uses();
    void note_use(const KeyRow &key, std::int64_t now_ms);
    void work(const std::stop_token &stop);

    // Constant, or with a lock of its own.
    const std::filesystem::path home_;
    Clock &clock_;
    RequestQuotas request_quotas_;
    std::unique_ptr<Ledger> ledger_;

    std::mutex store_mutex_;  // for store_
    std::optional<TenantStore> store_;

    mutable std::mutex mutex_;  // for what follows; never held over I/O
    std::shared_ptr<const KeyRing> ring_;
    std::map<std::string, std::int64_t, std::less<>> noted_uses_;    // by key: when its last use was noted here
    std::map<std::string, std::int64_t, std::less<>> waiting_uses_;  // what of it isn't in the file
    std::string store_problem_, ledger_problem_;

    std::mutex sleep_mutex_;
    std::condition_variable_any sleep_;
    std::jthread thread_;  // last: it uses everything above
};

}  // namespace engram
