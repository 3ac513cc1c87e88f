#include "server/maintenance.h"

#include <utility>
#include <vector>

namespace engram::server {
namespace {

constexpr int kChecksPerLook = 12;  // each look writes a row for each agent

}  // namespace

Maintenance::Maintenance(ModelHost &models, Tenants &tenants, Options options, Clock &clock)
    : models_(models), tenants_(tenants), options_(std::move(options)), meter_(tenants, clock) {
    check();
    look();
    thread_ = std::jthread([this](const std::stop_token &stop) { work(stop); });
}

Maintenance::~Maintenance() {
    thread_.request_stop();
    thread_.join();
    look();
}

void Maintenance::work(const std::stop_token &stop) {
    for (int checks = 1;; ++checks) {
        {
            std::unique_lock lock(sleep_mutex_);
            sleep_.wait_for(lock, stop, options_.every, [] { return false; });
        }
        if (stop.stop_requested()) return;
        check();
        if (checks % kChecksPerLook == 0) look();
    }
}

void Maintenance::check() {
    std::set<std::string> problems = apply_limits();
    for (std::string &problem : tenants_.problems()) problems.insert(std::move(problem));
    for (const std::string &problem : problems) {
        if (options_.warn && !told_.contains(problem)) options_.warn(problem);
    }
    told_ = std::move(problems);  // one that comes again is told again
}

std::set<std::string> Maintenance::apply_limits() {
    std::set<std::string> names;
    for (std::string &name : tenants_.names()) names.insert(std::move(name));
    const auto model = models_.use();
    if (!model) return {};  // there is none
    AgentManager &agents = model->default_agents();
    for (TenantStorage &storage : agents.storage_by_tenant()) {
        if (!storage.tenant.empty()) names.insert(std::move(storage.tenant));
    }
    std::set<std::string> problems;
    for (const std::string &name : names) {
        const Quota quota = tenants_.quota(name);
        const auto limited = agents.limit_storage(name, {.disk_bytes = quota.disk_bytes, .memory_bytes = quota.memory_bytes});
        if (!limited) problems.insert("the quota of tenant " + name + " can't be enforced: " + limited.error().message);
    }
    return problems;
}

void Maintenance::look() {
    const auto model = models_.use();
    if (!model) return;
    std::vector<StorageMeter::Held> held;
    for (AgentStorage &storage : model->default_agents().storage_by_agent()) {
        held.push_back({.tenant = std::move(storage.tenant), .agent = std::move(storage.agent), .bytes = storage.disk_bytes});
    }
    meter_.look(std::move(held));
}

}  // namespace engram::server
