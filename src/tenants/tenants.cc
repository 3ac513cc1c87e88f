#include "tenants/tenants.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <utility>

namespace engram {
namespace {

constexpr std::chrono::seconds kRefreshInterval{1};
constexpr int kRefreshesPerFlush = 5;
constexpr std::int64_t kUseStepMs = 10 * 60 * 1000;  // a key's last use is written this often at most

// KEY of "Bearer KEY"; empty for any other scheme.
std::string_view bearer_token(std::string_view authorization) {
    constexpr std::string_view kScheme = "bearer";
    const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
    if (authorization.size() <= kScheme.size() || authorization[kScheme.size()] != ' ' ||
        !std::ranges::equal(authorization.substr(0, kScheme.size()), kScheme, same)) {
        return {};
    }
    const std::size_t begin = authorization.find_first_not_of(' ', kScheme.size());
    if (begin == std::string_view::npos) return {};
    return authorization.substr(begin, authorization.find_last_not_of(" \t") + 1 - begin);
}

}  // namespace

std::filesystem::path tenants_path(const std::filesystem::path &home) { return home / "tenants.db"; }
std::filesystem::path ledger_path(const std::filesystem::path &home) { return home / "usage.db"; }

Result<std::unique_ptr<Tenants>> Tenants::open(const std::filesystem::path &home, Clock &clock) {
    std::unique_ptr<Tenants> tenants(new Tenants(home, clock));
    ENGRAM_ASSIGN(tenants->ledger_, Ledger::open(ledger_path(home), clock));
    ENGRAM_TRY(tenants->read());
    tenants->thread_ = std::jthread([&self = *tenants](const std::stop_token &stop) { self.work(stop); });
    return tenants;
}

Tenants::~Tenants() {
    if (!thread_.joinable()) return;  // open() failed
    thread_.request_stop();
    thread_.join();
    (void)flush();  // what fails now has been a problem before
}

std::optional<Principal> Tenants::authenticate(const Credentials &credentials) {
    const auto ring = this->ring();
    if (!ring->locked()) {
        if (!credentials.local) return std::nullopt;
        return Principal{.tenant = std::string(kDefaultTenant), .scopes = Scopes::all(), .key_id = {}};
    }
    const std::int64_t now_ms = clock_.wall_ms();
    for (const std::string_view text : {credentials.x_api_key, bearer_token(credentials.authorization)}) {
        if (const KeyRow *key = ring->find(text, now_ms)) {
            note_use(*key, now_ms);
            return Principal{.tenant = key->tenant, .scopes = key->scopes, .key_id = key->id};
        }
    }
    return std::nullopt;
}

Quota Tenants::quota(std::string_view tenant) const { return ring()->quota(tenant); }

std::vector<std::string> Tenants::names() const { return ring()->tenants(); }

RequestAdmission Tenants::admit(std::string_view tenant) { return request_quotas_.admit(tenant, quota(tenant)); }

void Tenants::record(std::string_view tenant, std::string_view agent, const Usage &usage) {
    request_quotas_.spend(tenant, usage.computed_tokens);
    request_quotas_.spend(tenant, usage.generated_tokens);
    ledger_->add(tenant, agent, usage);
}

void Tenants::record_stored(std::string_view tenant, std::string_view agent, std::uint64_t bytes, std::uint32_t seconds) {
    const std::uint64_t most = UINT64_MAX / std::max<std::uint64_t>(seconds, 1);
    ledger_->add(tenant, agent, {.stored_byte_seconds = std::min(bytes, most) * seconds});
}

Result<std::vector<UsageRow>> Tenants::usage(const UsageQuery &query) {
    ENGRAM_TRY(flush());
    return ledger_->query(query);
}

std::vector<std::string> Tenants::problems() const {
    const std::scoped_lock lock(mutex_);
    std::vector<std::string> problems = ring_->problems();
    for (const std::string &problem : {store_problem_, ledger_problem_}) {
        if (!problem.empty()) problems.push_back(problem);
    }
    return problems;
}

Result<void> Tenants::refresh() {
    auto done = read_if_changed();
    const std::scoped_lock lock(mutex_);
    store_problem_ = done ? std::string() : done.error().message;
    return done;
}

Result<void> Tenants::read_if_changed() {
    const std::scoped_lock lock(store_mutex_);
    if (store_) {
        const auto changed = store_->changed();
        if (changed && !*changed) return {};
        if (!changed && changed.error().code != ErrorCode::incompatible) return std::unexpected(changed.error());
        if (!changed) store_.reset();  // another file has its name now
    }
    return read();
}

// Called with store_mutex_, or by open() when no other thread is there.
Result<void> Tenants::read() {
    if (!store_) {
        ENGRAM_ASSIGN(store_, TenantStore::open(tenants_path(home_)));
    }
    ENGRAM_ASSIGN(TenantTables tables, store_->read());
    const std::scoped_lock lock(mutex_);
    auto ring = std::make_shared<const KeyRing>(std::move(tables), ring_ && ring_->locked());
    ring_ = std::move(ring);
    return {};
}

Result<void> Tenants::flush() {
    auto uses = write_uses();
    auto written = ledger_->flush();
    const std::scoped_lock lock(mutex_);
    ledger_problem_ = !written ? written.error().message : !uses ? uses.error().message : std::string();
    return written;
}

void Tenants::note_use(const KeyRow &key, std::int64_t now_ms) {
    const std::scoped_lock lock(mutex_);
    std::int64_t &noted = noted_uses_.try_emplace(key.id, key.last_used_ms).first->second;
    if (now_ms - noted < kUseStepMs) return;
    noted = now_ms;
    waiting_uses_[key.id] = now_ms;
}

Result<void> Tenants::write_uses() {
    const std::scoped_lock store_lock(store_mutex_);
    std::vector<TenantStore::Use> uses;
    {
        const std::scoped_lock lock(mutex_);
        for (const auto &[id, used_ms] : std::exchange(waiting_uses_, {}))
            uses.push_back({.key_id = id, .last_used_ms = used_ms});
    }
    if (uses.empty() || !store_) return {};
    return store_->note_uses(uses);  // on an error it is noted again at the next step
}

std::shared_ptr<const KeyRing> Tenants::ring() const {
    const std::scoped_lock lock(mutex_);
    return ring_;
}

void Tenants::work(const std::stop_token &stop) {
    for (int turn = 1; !stop.stop_requested(); ++turn) {
        {
            std::unique_lock lock(sleep_mutex_);
            sleep_.wait_for(lock, stop, kRefreshInterval, [] { return false; });
        }
        if (stop.stop_requested()) return;  // the destructor writes what is left
        // What fails is kept for problems(), and tried again.
        (void)refresh();
        if (turn % kRefreshesPerFlush == 0) (void)flush();
    }
}

}  // namespace engram
