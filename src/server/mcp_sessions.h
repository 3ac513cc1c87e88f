// The sessions of MCP clients over HTTP, in the protocol's older era. A tenant has so many; the one that was left alone for
// longest goes when another one comes, and so does one that nobody has used for an hour. Thread-safe. Internal to the server.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "server/mcp_session.h"

namespace engram::server {

class McpSessions {
  public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::size_t kMostOfTenant = 256;
    static constexpr std::chrono::minutes kLife{60};

    std::string add(std::string tenant, std::shared_ptr<McpSession> session, Time now);  // its id, which nobody can guess
    // nullptr: there is none, or it is another tenant's.
    std::shared_ptr<McpSession> find(std::string_view id, std::string_view tenant, Time now);
    bool remove(std::string_view id, std::string_view tenant);

  private:
    struct Entry {
        std::string tenant;
        std::shared_ptr<McpSession> session;
        Time used;
    };
    void make_room(std::string_view tenant, Time now);  // with mutex_ held

    std::mutex mutex_;
    std::map<std::string, Entry, std::less<>> entries_;  // guarded by mutex_
};

}  // namespace engram::server
