// Commits manifests after the files that they name: payload, fsync, rename, and only then the manifest.
//
// A turn's transcript and tokens are committed at once; its KV is on its way to disk then. Until all of it is there the registry
// keeps the manifest of the turn before, whose files are whole: a crash in between costs the last turn's KV, never the agent's.
// What only the older manifest named is deleted after the newer one is committed.
//
// When a file could not be written (a full disk) the older manifest stays too, and the newer one is *held back*: it is still what
// callers go by, as long as the process lives, and publish() tries again.
//
// Threads: one thread of its own; all methods from any thread. `newest` is what callers should go by while a manifest is on its
// way.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "registry/registry.h"
#include "store/block_store.h"

namespace engram {

// A claim of an agent on the parts that these manifests name (the older one may be null).
Claim claim_of(const AgentRow &row, const Manifest &manifest, const Manifest *older);

class ManifestPublisher {
  public:
    // Neither is owned; both must outlive the publisher.
    ManifestPublisher(Registry &registry, BlockStore &store);
    ~ManifestPublisher();  // publishes what is queued

    // `row` is the agent as it was committed, `older` the manifest that the registry still has.
    void publish(AgentRow row, Manifest manifest, std::optional<Manifest> older);
    // The manifest that is on its way for this agent.
    std::optional<Manifest> newest(const AgentKey &key) const;
    void wait() const;  // until everything queued before the call is published or held back
    // Tries a held-back manifest again, after its parts were put again. Does nothing when none is held back.
    void retry(const AgentKey &key);
    // Why the tenant's last manifest could not be committed; empty when it was.
    std::string last_error(std::string_view tenant) const;

  private:
    struct Item {
        AgentRow row;
        Manifest manifest;
        std::optional<Manifest> older;
        std::uint64_t number = 0;
    };
    void run(const std::stop_token &stop);
    void commit(Item item);
    bool all_written(const Manifest &manifest) const;

    Registry &registry_;
    BlockStore &store_;
    mutable std::mutex mutex_;
    mutable std::condition_variable_any changed_;
    std::deque<Item> items_;  // guarded by mutex_, as all below; the front one may be in the thread's hands
    std::vector<Item> held_back_;
    std::uint64_t last_number_ = 0;
    std::map<std::string, std::string, std::less<>> last_errors_;  // by tenant
    std::jthread thread_;
};

}  // namespace engram
