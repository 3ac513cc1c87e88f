#include "server/mcp_sessions.h"

#include "core/random_name.h"

namespace engram::server {

void McpSessions::make_room(std::string_view tenant, Time now) {
    std::erase_if(entries_, [&](const auto &entry) { return now - entry.second.used > kLife; });
    std::size_t has = 0;
    auto oldest = entries_.end();
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
        if (entry->second.tenant != tenant) continue;
        ++has;
        if (oldest == entries_.end() || entry->second.used < oldest->second.used) oldest = entry;
    }
    if (has >= kMostOfTenant) entries_.erase(oldest);
}

std::string McpSessions::add(std::string tenant, std::shared_ptr<McpSession> session, Time now) {
    const std::scoped_lock lock(mutex_);
    make_room(tenant, now);
    std::string id = random_name(random_name(""));
    entries_.emplace(id, Entry{.tenant = std::move(tenant), .session = std::move(session), .used = now});
    return id;
}

std::shared_ptr<McpSession> McpSessions::find(std::string_view id, std::string_view tenant, Time now) {
    const std::scoped_lock lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end() || found->second.tenant != tenant) return nullptr;
    if (now - found->second.used > kLife) {
        entries_.erase(found);
        return nullptr;
    }
    found->second.used = now;
    return found->second.session;
}

bool McpSessions::remove(std::string_view id, std::string_view tenant) {
    const std::scoped_lock lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end() || found->second.tenant != tenant) return false;
    found->second.session->cancel_all();
    entries_.erase(found);
    return true;
}

}  // namespace engram::server
