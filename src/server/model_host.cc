#include "server/model_host.h"

#include <format>

namespace engram::server {

namespace {

std::int64_t modified_s(const std::filesystem::path &file) {
    std::error_code error;
    const auto time = std::filesystem::last_write_time(file, error);
    if (error) return 0;
    const auto system = std::chrono::clock_cast<std::chrono::system_clock>(time);
    return std::chrono::duration_cast<std::chrono::seconds>(system.time_since_epoch()).count();
}

}  // namespace

Result<std::unique_ptr<ModelHost>> ModelHost::open(ManagerOptions options, std::string name) {
    std::unique_ptr<ModelHost> host(new ModelHost(std::move(options)));
    ENGRAM_TRY(host->load(host->options_, std::move(name)));
    return host;
}

Result<void> ModelHost::load(const ManagerOptions &options, std::string name) {
    ENGRAM_ASSIGN(agents_, AgentManager::open(options));
    const ManagerStats stats = agents_->stats();
    const std::filesystem::path &file = options.model.path;
    ModelFacts facts{.name = name.empty() ? file.stem().string() : std::move(name),
                     .file = file,
                     .created_s = modified_s(file),
                     .context_tokens = stats.context_cells,
                     .fingerprint = "fp_" + stats.fingerprint.substr(0, 12)};
    const std::scoped_lock lock(mutex_);
    facts_ = std::move(facts);
    problem_.clear();
    return {};
}

ModelHost::Use::~Use() {
    if (host_ == nullptr) return;
    {
        const std::scoped_lock lock(host_->mutex_);
        --host_->uses_;
    }
    host_->changed_.notify_all();
}

Result<ModelHost::Use> ModelHost::use(const std::stop_token &stop) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop, [&] { return !changing_; })) {
        return fail(ErrorCode::cancelled, "the client has gone while another model was being loaded");
    }
    if (!problem_.empty()) return fail(ErrorCode::locked, problem_);
    ++uses_;
    return Use(*this);
}

Result<void> ModelHost::change(const Change &to) {
    {
        std::unique_lock lock(mutex_);
        if (changing_) return fail(ErrorCode::locked, "another change of the model is under way");
        changing_ = true;
        if (!changed_.wait_for(lock, to.patience, [&] { return uses_ == 0; })) {
            changing_ = false;
            changed_.notify_all();
            return fail(ErrorCode::locked,
                        std::format("{} requests are still being answered by {}: the model was not changed", uses_, facts_.name));
        }
    }
    // Nobody has a use of it now, and nobody gets one.
    const std::string old_name = facts().name;
    ManagerOptions options = options_;
    options.model.path = options.model.path.parent_path() / to.file;
    options.model.adapters.clear();
    options.model.rope_freq_base = options.model.rope_freq_scale = 0;
    if (to.context_tokens > 0) options.model.context_tokens = to.context_tokens;
    managers_.clear();
    agents_.reset();
    Result<void> done = load(options, to.name);
    if (done) {
        options_ = std::move(options);
    } else if (const Result<void> back = load(options_, old_name); !back) {
        done.error().message += std::format("; and {} could not be loaded again: {}", old_name, back.error().message);
        const std::scoped_lock lock(mutex_);
        problem_ = "no model is loaded: " + done.error().message;
    }
    {
        const std::scoped_lock lock(mutex_);
        changing_ = false;
    }
    changed_.notify_all();
    return done;
}

Result<AgentManager *> ModelHost::agents_of(const std::string &tenant) {
    if (tenant == options_.tenant) return agents_.get();
    const std::scoped_lock lock(managers_mutex_);
    auto &agents = managers_[tenant];
    if (agents == nullptr) {
        ENGRAM_ASSIGN(agents, agents_->for_tenant(tenant));
    }
    return agents.get();
}

ModelFacts ModelHost::facts() const {
    const std::scoped_lock lock(mutex_);
    return facts_;
}

bool ModelHost::ready() const {
    const std::scoped_lock lock(mutex_);
    return !changing_ && problem_.empty();
}

}  // namespace engram::server
