#include "teams/remote_agents.h"

#include <algorithm>
#include <format>
#include <utility>

#include "chat/bounded_json.h"
#include "core/beginning.h"
#include "core/field_hasher.h"
#include "teams/held_calls.h"
#include "teams/run_budget.h"
#include "teams/run_json.h"

namespace engram {
namespace {

using protocol::a2a::TaskState;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::minutes kAskAgain{1};  // after a server couldn't say what its agent does
constexpr std::size_t kMaxMetadataBytes = 1UZ << 20U;
constexpr std::size_t kMaxChain = 64;
constexpr std::uint64_t kMostTokens = 1ULL << 40U;  // that another server may say something cost
constexpr std::size_t kMaxCalls = 64;               // of a task that may wait for a person
constexpr std::size_t kMaxDescription = 500;        // bytes: it stands in prompts
constexpr const char *kOurs = "engram";             // member of a message's or task's metadata

std::string metadata_of(std::span<const std::string> chain, std::string_view home, std::string_view tenant) {
    OrderedJson names = OrderedJson::array();
    for (const std::string &one : chain) names.push_back(one.contains('/') ? one : std::format("{}/{}/{}", home, tenant, one));
    const OrderedJson metadata{{kOurs, {{"chain", std::move(names)}, {"trace", true}}}};
    return metadata.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

// What of the metadata is Engram's; null: nothing.
OrderedJson ours_in(std::string_view metadata) {
    const auto json = parse_bounded_json(metadata, kMaxMetadataBytes);
    if (metadata.empty() || !json || !json->is_object() || !json->contains(kOurs) || !(*json)[kOurs].is_object()) return {};
    return (*json)[kOurs];
}

// A list of it; empty where there is none.
OrderedJson list_in(std::string_view metadata, const char *name) {
    const OrderedJson ours = ours_in(metadata);
    const auto list = ours.find(name);
    return list == ours.end() || !list->is_array() ? OrderedJson::array() : *list;
}

// The trace, where the other server gives one.
std::vector<RunStep> steps_of_metadata(std::string_view metadata) {
    std::vector<RunStep> steps;
    for (const OrderedJson &step : list_in(metadata, "steps")) steps.push_back(step_of(step));
    return steps;
}

// What all of the work cost there, where the other server says it.
RunUsage usage_of_metadata(std::string_view metadata) {
    const OrderedJson ours = ours_in(metadata);
    const auto count = [&](const char *name) {
        const auto found = ours.find(name);
        if (found == ours.end() || !found->is_number_unsigned()) return std::uint64_t{0};
        return std::min(found->get<std::uint64_t>(), kMostTokens);
    };
    RunUsage usage{.prompt_tokens = count("promptTokens"), .cached_tokens = 0, .answer_tokens = count("answerTokens")};
    usage.cached_tokens = std::min(count("cachedTokens"), usage.prompt_tokens);
    return usage;
}

// Whether its agent remembers it, as far as the other server says.
bool is_committed(std::string_view metadata) {
    const OrderedJson ours = ours_in(metadata);
    const auto found = ours.find("committed");
    return found == ours.end() || *found != false;
}

// The calls that a task's question is about, with which an Engram asks for approval; empty: it is another question.
std::vector<ChatToolCall> calls_in(const std::string &name, const a2a::Answer &answer) {
    std::vector<ChatToolCall> calls;
    for (const std::string &data : answer.status_data()) {
        const auto json = parse_bounded_json(data, kMaxMetadataBytes);
        if (!json || !json->is_object() || !json->contains("calls") || !(*json)["calls"].is_array()) continue;
        for (const OrderedJson &call : (*json)["calls"]) {
            const bool is_call = call.is_object() && call.contains("id") && call["id"].is_string() && call.contains("name") &&
                                 call["name"].is_string() && calls.size() < kMaxCalls;
            if (!is_call) continue;
            const OrderedJson arguments = call.value("arguments", OrderedJson::object());
            calls.push_back({.id = id_below(name, call["id"].get_ref<const std::string &>()),
                             .name = call["name"].get<std::string>(),
                             .arguments = arguments.dump(-1, ' ', false, OrderedJson::error_handler_t::replace)});
        }
    }
    return calls;
}

// What was decided of them, for the task.
std::string decisions_json(const std::string &name, const ToolWait &wait) {
    OrderedJson approvals = OrderedJson::object();
    for (const auto &[id, allowed] : wait.approvals) {
        if (const auto own = id_within(name, id)) approvals[std::string(*own)] = allowed;
    }
    return OrderedJson{{"approvals", std::move(approvals)}}.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

ToolOutcome outcome_of(const std::string &name, const a2a::Answer &answer) {
    ToolOutcome outcome{.text = answer.text(), .delegated = true, .to = name};
    outcome.steps = steps_of_metadata(answer.metadata());
    outcome.usage = usage_of_metadata(answer.metadata());
    const auto failed = [&](std::string_view how) {
        outcome.failed = true;
        const std::string why = answer.status_text();
        const std::string said = answer.text() == why ? std::string() : answer.text();
        outcome.text =
            std::format("{} {}{}{}", name, how, why.empty() ? "." : ": " + why, said.empty() ? "" : "\nIt said so far: " + said);
    };
    if (is_interrupted(answer.state())) {
        outcome.wait = {.calls = calls_in(name, answer), .state = answer.task_id()};
        if (!outcome.wait.calls.empty()) outcome.text = waits_text(name);
        if (!outcome.wait.calls.empty()) return outcome;
    }
    switch (answer.state()) {
        case TaskState::input_required:
            outcome.text = std::format("{} asks back: {}\n(Its task goes on when you give it the answer.)", name, answer.text());
            break;
        case TaskState::auth_required: failed("wants an authorization that it hasn't got"); break;
        case TaskState::failed: failed("failed"); break;
        case TaskState::rejected: failed("rejects the task"); break;
        case TaskState::canceled: failed("was stopped"); break;
        case TaskState::completed:
            if (!is_committed(answer.metadata())) failed(kWontRemember);
            break;
        case TaskState::submitted:
        case TaskState::working: break;
    }
    return outcome;
}

}  // namespace

struct RemoteAgents::Remote {
    explicit Remote(a2a::RemoteConfig of) : client(std::move(of)) {}

    a2a::Client client;
    std::mutex mutex;  // for what follows
    std::condition_variable_any asked;
    bool is_asking = false;  // for the description
    std::string description;
    Error trouble;  // why it isn't known
    Clock::time_point ask_again = {};
};

// The right to ask, as long as this lives.
class RemoteAgents::Turn {
  public:
    Turn(RemoteAgents &of, Line line, const std::stop_token &stop) : of_(of), line_(std::move(line)) {
        std::unique_lock lock(of_.mutex_);
        mine_ = of_.answered_.wait(lock, stop, [this] { return !of_.asking_.contains(line_); });
        if (mine_) of_.asking_.insert(line_);
    }
    ~Turn() {
        if (!mine_) return;
        {
            const std::scoped_lock lock(of_.mutex_);
            of_.asking_.erase(line_);
        }
        of_.answered_.notify_all();
    }
    Turn(const Turn &) = delete;
    Turn &operator=(const Turn &) = delete;

    bool mine() const { return mine_; }  // false: it was stopped before

  private:
    RemoteAgents &of_;
    const Line line_;
    bool mine_ = false;
};

RemoteAgents::RemoteAgents(std::vector<a2a::RemoteConfig> agents, TeamStore &store) : store_(store) {
    for (a2a::RemoteConfig &config : agents) remotes_.push_back(std::make_unique<Remote>(std::move(config)));
}
RemoteAgents::~RemoteAgents() = default;

RemoteAgents::Remote *RemoteAgents::find(std::string_view tenant, std::string_view name) const {
    const auto found = std::ranges::find_if(remotes_, [&](const auto &remote) {
        const a2a::RemoteConfig &config = remote->client.config();
        return config.name == name && std::ranges::contains(config.tenants, tenant);
    });
    return found == remotes_.end() ? nullptr : found->get();
}

bool RemoteAgents::has(std::string_view tenant, std::string_view name) const { return find(tenant, name) != nullptr; }

// Its card's description, which is kept.
Result<std::string> RemoteAgents::ask_description(Remote &remote, const std::stop_token &stop) {
    const a2a::RemoteConfig &config = remote.client.config();
    ENGRAM_ASSIGN(const protocol::a2a::ServerCard card, remote.client.card(stop));
    std::string description(beginning_of(card.description.empty() ? card.name : card.description, kMaxDescription));
    static_cast<void>(store_.keep_tools("a2a:" + config.name, config.url, description));  // known anew after a restart otherwise
    return description;
}

// With its mutex held. False: neither this process nor an earlier one has learned it.
bool RemoteAgents::recall(Remote &remote) {
    if (!remote.description.empty()) return true;
    const a2a::RemoteConfig &config = remote.client.config();
    remote.description = config.description;
    if (!remote.description.empty()) return true;
    if (const auto known = store_.known_tools("a2a:" + config.name, config.url); known && *known) remote.description = **known;
    return !remote.description.empty();
}

std::string RemoteAgents::description(std::string_view tenant, std::string_view name) {
    Remote *remote = find(tenant, name);
    if (remote == nullptr) return {};
    const std::scoped_lock lock(remote->mutex);
    recall(*remote);
    return remote->description;
}

// One caller at a time asks, and the others wait for it, but not longer than they are wanted.
Result<void> RemoteAgents::learn(std::string_view tenant, std::string_view name, const std::stop_token &stop) {
    Remote &remote = *find(tenant, name);
    {
        std::unique_lock lock(remote.mutex);
        if (!remote.asked.wait(lock, stop, [&] { return !remote.is_asking; })) {
            return fail(ErrorCode::cancelled, "its server is being asked already, which takes too long");
        }
        if (recall(remote)) return {};
        if (Clock::now() < remote.ask_again) return std::unexpected(remote.trouble);
        remote.is_asking = true;
    }
    auto learned = ask_description(remote, stop);
    const std::scoped_lock lock(remote.mutex);
    remote.is_asking = false;
    remote.asked.notify_all();
    if (learned) {
        remote.description = std::move(*learned);
        return {};
    }
    remote.trouble = learned.error();
    if (!stop.stop_requested()) remote.ask_again = Clock::now() + kAskAgain;
    return std::unexpected(std::move(learned.error()));
}

ToolOutcome RemoteAgents::ask(const ToolContext &context, const std::string &name, const std::string &task,
                              std::span<const std::string> chain) {
    Remote &remote = *find(context.agent.tenant, name);
    const RemotePair pair{
        .tenant = context.agent.tenant, .agent = context.agent.id, .agent_created_ms = context.agent.created_ms, .remote = name};
    const auto trouble = [&](const Error &error) {
        return ToolOutcome{
            .text = std::format("{} could not be asked: {}", name, error.message), .failed = true, .delegated = true, .to = name};
    };
    const Turn turn(*this, {pair.tenant, pair.agent, pair.remote}, context.stop);
    if (!turn.mine()) return trouble({.code = ErrorCode::cancelled, .message = "it was stopped"});
    auto talk = store_.remote_talk(pair);
    if (!talk) return trouble(talk.error());
    if (context.wait != nullptr && context.wait->approvals.empty()) {  // nothing is new to the task, which waits on
        return {.text = waits_text(name), .delegated = true, .to = name, .wait = *context.wait};
    }
    const a2a::Hearing hearing{.text =
                                   [&](std::string_view piece) {
                                       ChatText text;
                                       text.text = piece;
                                       if (context.sink) context.sink(RunAnswering{.agent = name, .event = std::move(text)});
                                   },
                               .begun =
                                   [&](const std::string &begun) {
                                       if (begun != talk->context)
                                           static_cast<void>(store_.keep_remote_talk(pair, {.context = begun}));
                                   }};
    a2a::Question question{.text = task, .context_id = talk->context, .task_id = talk->task};
    question.metadata = metadata_of(chain, store_.identity(), pair.tenant);
    if (context.wait != nullptr) {
        question.task_id = context.wait->state;
        question.data = decisions_json(name, *context.wait);
    }
    auto answer = remote.client.ask(question, hearing, context.stop);
    if (!answer && answer.error().code == ErrorCode::not_found && !question.task_id.empty() && context.wait == nullptr) {
        question.task_id.clear();  // whatever waited there is gone
        answer = remote.client.ask(question, hearing, context.stop);
    }
    if (!answer) return trouble(answer.error());
    ToolOutcome outcome = outcome_of(name, *answer);
    context.budget.spend(outcome.usage.prompt_tokens - outcome.usage.cached_tokens + outcome.usage.answer_tokens);
    const bool waits = answer->state() == TaskState::input_required && outcome.wait.calls.empty();  // for what is said next
    const RemoteTalk now{.context = answer->context_id().empty() ? talk->context : answer->context_id(),
                         .task = waits ? answer->task_id() : std::string()};
    if (now != *talk) {
        if (const auto kept = store_.keep_remote_talk(pair, now); !kept) return trouble(kept.error());
    }
    return outcome;
}

std::vector<RemoteAgents::Look> RemoteAgents::look(std::string_view tenant, const std::stop_token &stop) {
    std::vector<Look> looks;
    for (const auto &remote : remotes_) {
        const a2a::RemoteConfig &config = remote->client.config();
        if (!std::ranges::contains(config.tenants, tenant)) continue;
        Look look{.name = config.name, .url = config.url, .description = config.description, .trouble = ""};
        auto learned = ask_description(*remote, stop);
        if (!learned) {
            look.trouble = learned.error().message;
        } else if (look.description.empty()) {
            look.description = std::move(*learned);
        }
        looks.push_back(std::move(look));
    }
    return looks;
}

std::vector<std::string> chain_of_metadata(std::string_view metadata, std::string_view home, std::string_view tenant) {
    std::vector<std::string> chain;
    const std::string here = std::format("{}/{}/", home, tenant);
    for (const OrderedJson &one : list_in(metadata, "chain")) {
        if (!one.is_string() || chain.size() == kMaxChain) continue;
        const auto &name = one.get_ref<const std::string &>();
        chain.push_back(name.starts_with(here) ? name.substr(here.size()) : name);
    }
    return chain;
}

bool wants_trace(std::string_view metadata) {
    const OrderedJson ours = ours_in(metadata);
    return ours.is_object() && ours.value("trace", OrderedJson()) == true;
}

}  // namespace engram
