// A file system for SQLite that fails when told to, in place of the default one for as long as it lives.
#pragma once

#include <memory>

namespace engram {

class FaultVfs {
  public:
    FaultVfs();
    ~FaultVfs();
    FaultVfs(const FaultVfs &) = delete;
    FaultVfs &operator=(const FaultVfs &) = delete;

    // After `operations` more writes, syncs and truncations all of them fail with SQLite's `code`, until heal().
    void fail_after(int operations, int code);
    void heal();
    bool has_failed() const;  // since fail_after

  private:
    struct Shim;
    std::unique_ptr<Shim> shim_;
};

}  // namespace engram
