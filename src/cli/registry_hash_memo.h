// The registry as the engine's memory of model hashes. The registry must outlive it.
#pragma once

#include "engine/model.h"
#include "registry/registry.h"

namespace engram::cli {

class RegistryHashMemo : public HashMemo {
  public:
    explicit RegistryHashMemo(Registry &registry) : registry_(registry) {}

    std::optional<Digest> find(const std::filesystem::path &path, std::uint64_t bytes, std::int64_t modified_ns,
                               std::uint64_t inode) const override {
        return registry_.remembered_hash({.path = path.string(), .bytes = bytes, .modified_ns = modified_ns, .inode = inode});
    }

    void remember(const std::filesystem::path &path, std::uint64_t bytes, std::int64_t modified_ns, std::uint64_t inode,
                  const Digest &digest) override {
        // A memo that can't be written costs time only.
        static_cast<void>(
            registry_.remember_hash({.path = path.string(), .bytes = bytes, .modified_ns = modified_ns, .inode = inode}, digest));
    }

  private:
    Registry &registry_;
};

}  // namespace engram::cli
