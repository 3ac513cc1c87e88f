// Engram's own API of agents: /v1/agents and what is below it.
#include <charconv>
#include <format>
#include <fstream>
#include <optional>

#include "agents/agent_json.h"
#include "core/random_name.h"
#include "ports/file_system.h"
#include "protocol/openai/wire.h"
#include "server/app.h"
#include "server/own_requests.h"

namespace engram::server {
namespace {

using namespace protocol;
using openai::sse_frame;

constexpr std::size_t kMostListed = 1000;  // on a page

// --- agents ---

ApiResult<void> create(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(const OrderedJson json, body_of(app, request));
    ENGRAM_ASSIGN(const AgentSpec spec, read_agent_spec(Field(json)));
    ENGRAM_TRY(app.check_agent_quota(caller));
    ENGRAM_ASSIGN(const AgentInfo info, api(caller.agents->create(spec)));
    responder.send(json_answer(agent_json(info), 201));
    return {};
}

// How many of a list are wanted at most; nullopt: all.
ApiResult<std::optional<std::size_t>> read_limit(const http::HttpRequest &request) {
    const std::string_view text = request.query_value("limit").value_or("");
    if (text.empty()) return std::nullopt;
    std::size_t limit = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc() || end != text.data() + text.size() || limit == 0 || limit > kMostListed) {
        return wrong_field("limit", std::format("limit must be a whole number from 1 to {}", kMostListed));
    }
    return limit;
}

ApiResult<void> list(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(const std::optional<std::size_t> limit, read_limit(request));
    const bool all = request.query_value("conversations").value_or("") == "true";
    const auto asked = [&](std::string_view name) { return std::string(request.query_value(name).value_or("")); };
    const AgentQuery query{.text = asked("text"),
                           .skill = asked("skill"),
                           .label = asked("label"),
                           .owner = asked("owner"),
                           .model = asked("model"),
                           .tool = asked("tool")};
    const bool narrowed = !(query == AgentQuery{});
    ENGRAM_ASSIGN(const std::vector<AgentInfo> agents, api(narrowed ? caller.agents->find(query) : caller.agents->list()));
    // They are by id, so that a page begins behind an id, whether that one is still there or not.
    const std::string after = asked("after");
    OrderedJson json = OrderedJson::array();
    bool has_more = false;
    for (const AgentInfo &info : agents) {
        if ((info.conversation && !all) || info.id <= after) continue;
        has_more = limit && json.size() == *limit;
        if (has_more) break;
        json.push_back(agent_json(info));
    }
    OrderedJson answer{{"agents", std::move(json)}};
    if (limit) answer["has_more"] = has_more;
    responder.send(json_answer(answer));
    return {};
}

ApiResult<void> get(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(const AgentInfo info, api(caller.agents->get(request.parameter("id"))));
    responder.send(json_answer(agent_json(info)));
    return {};
}

ApiResult<void> patch(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(const OrderedJson json, body_of(app, request));
    std::string id(request.parameter("id"));
    ENGRAM_TRY(api(caller.agents->get(id)));
    ENGRAM_ASSIGN(const AgentPatch patch, read_agent_patch(Field(json)));
    if (patch.pinned) ENGRAM_TRY(api(caller.agents->pin(id, *patch.pinned)));
    if (!(patch.change == AgentChange{})) ENGRAM_TRY(api(caller.agents->change(id, patch.change)));
    if (patch.adopt) ENGRAM_TRY(api(caller.agents->adopt(id)));
    if (patch.retention) ENGRAM_TRY(api(caller.agents->retain(id, *patch.retention)));
    if (patch.id) {
        ENGRAM_TRY(api(caller.agents->rename(id, *patch.id)));
        id = *patch.id;
    }
    ENGRAM_ASSIGN(const AgentInfo info, api(caller.agents->get(id)));
    responder.send(json_answer(agent_json(info)));
    return {};
}

ApiResult<void> remove(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    const std::string id(request.parameter("id"));
    ENGRAM_TRY(api(caller.agents->remove(id)));
    responder.send(json_answer(OrderedJson{{"id", id}, {"deleted", true}}));
    return {};
}

ApiResult<void> fork(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(const OrderedJson json, body_of(app, request));
    ENGRAM_ASSIGN(const std::string id, read_fork(Field(json)));
    ENGRAM_TRY(app.check_agent_quota(caller));
    ENGRAM_ASSIGN(const AgentInfo info, api(caller.agents->fork(request.parameter("id"), id)));
    responder.send(json_answer(agent_json(info), 201));
    return {};
}

ApiResult<void> transcript(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(const std::vector<Message> messages, api(caller.agents->transcript(request.parameter("id"))));
    responder.send(json_answer(OrderedJson{{"messages", transcript_json(messages)}}));
    return {};
}

// Where it is, and what it used since it was made.
ApiResult<void> stats(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    constexpr UsageColumns kByAgent{.day = false, .tenant = false, .agent = true};
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(const AgentInfo info, api(caller.agents->get(request.parameter("id"))));
    ENGRAM_ASSIGN(std::vector<UsageRow> rows,
                  api(app.tenants().usage({.from_day = {}, .to_day = {}, .tenant = caller.tenant, .columns = kByAgent})));
    std::erase_if(rows, [&](const UsageRow &row) { return row.agent != info.id; });
    if (rows.empty()) rows.push_back({.day = {}, .tenant = {}, .agent = info.id, .usage = {}});
    responder.send(json_answer(OrderedJson{{"agent", agent_json(info)}, {"usage", usage_json(rows, kByAgent).front()}}));
    return {};
}

// --- turns ---

void record(App &app, const Caller &caller, const std::string &id, const TurnResult &result) {
    app.metrics().started(caller.tenant, {.agent = id,
                                          .prompt_tokens = result.prompt_tokens,
                                          .cached_tokens = result.reused_tokens,
                                          .tier = result.tier,
                                          .restore_ms = result.restore_ms,
                                          .queue_ms = result.queue_ms,
                                          .repairs = {},
                                          .miss = result.miss});
    app.metrics().finished(caller.tenant, {.stop_string = {},
                                           .answer_tokens = result.tokens.size(),
                                           .ttft_ms = result.ttft_ms,
                                           .decode_ms = result.decode_ms,
                                           .warning = {}});
    app.tenants().record(caller.tenant, id,
                         {.requests = 1,
                          .computed_tokens = result.computed_tokens,
                          .reused_tokens = result.reused_tokens,
                          .generated_tokens = result.tokens.size()});
}

// Named events: prefill, text, then done or error.
ApiResult<void> stream_turn(App &app, const Caller &caller, const std::string &id, TurnRequest turn,
                            http::HttpResponder &responder) {
    bool begun = false;
    const auto send = [&](std::string_view event, const OrderedJson &data) {
        if (!std::exchange(begun, true))
            responder.start(200, {{"content-type", "text/event-stream; charset=utf-8"}, {"cache-control", "no-cache"}});
        responder.write(sse_frame(data, event));
    };
    turn.on_prefill = [&](std::uint64_t done, std::uint64_t total) { send("prefill", {{"done", done}, {"total", total}}); };
    turn.on_text = [&](std::string_view text) { send("text", {{"text", text}}); };
    const auto result = caller.agents->generate(id, turn);
    if (!result && !begun) return std::unexpected(api_error(result.error()));
    if (result) {
        record(app, caller, id, *result);
        send("done", turn_json(id, *result));
    } else {
        send("error", {{"code", error_code_name(result.error().code)}, {"message", result.error().message}});
    }
    responder.end();
    return {};
}

ApiResult<void> turn(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(const OrderedJson json, body_of(app, request));
    ENGRAM_ASSIGN(OwnTurn asked, read_turn(Field(json), app.options().sampling));
    const std::string id(request.parameter("id"));
    ENGRAM_TRY(api(caller.agents->get(id)));
    ENGRAM_ASSIGN(const App::Place place, app.admit(caller));
    responder.set_tenant(caller.tenant);
    asked.request.stop = request.stop;
    if (asked.stream) return stream_turn(app, caller, id, std::move(asked.request), responder);
    ENGRAM_ASSIGN(const TurnResult result, api(caller.agents->generate(id, asked.request)));
    record(app, caller, id, result);
    responder.send(json_answer(turn_json(id, result)));
    return {};
}

ApiResult<void> batch(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(const OrderedJson json, body_of(app, request));
    ENGRAM_ASSIGN(std::vector<AgentManager::BatchItem> items, read_batch(Field(json), app.options().sampling));
    for (AgentManager::BatchItem &item : items) item.request.stop = request.stop;
    ENGRAM_ASSIGN(const App::Place place, app.admit(caller));
    responder.set_tenant(caller.tenant);
    OrderedJson results = OrderedJson::array();
    const std::vector<Result<TurnResult>> answers = caller.agents->generate_batch(items);
    for (std::size_t i = 0; i < answers.size(); ++i) {
        if (answers[i]) {
            record(app, caller, items[i].id, *answers[i]);
            results.push_back(turn_json(items[i].id, *answers[i]));
        } else {
            const Error &error = answers[i].error();
            results.push_back(
                {{"agent", items[i].id}, {"error", {{"code", error_code_name(error.code)}, {"message", error.message}}}});
        }
    }
    responder.send(json_answer(OrderedJson{{"results", std::move(results)}}));
    return {};
}

// --- where an agent's memory is ---

using Act = Result<void> (*)(AgentManager &agents, std::string_view id);

Endpoint acting(Act act) {
    return [act](App &app, const http::HttpRequest &request, http::HttpResponder &responder) -> ApiResult<void> {
        ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
        const std::string_view id = request.parameter("id");
        ENGRAM_TRY(api(act(*caller.agents, id)));
        ENGRAM_ASSIGN(const AgentInfo info, api(caller.agents->get(id)));
        responder.send(json_answer(agent_json(info)));
        return {};
    };
}

ApiResult<void> evict(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_ASSIGN(const OrderedJson json, body_of(app, request));
    ENGRAM_ASSIGN(const AgentManager::EvictTo to, read_evict(Field(json)));
    const std::string_view id = request.parameter("id");
    ENGRAM_TRY(api(caller.agents->evict(id, to)));
    ENGRAM_ASSIGN(const AgentInfo info, api(caller.agents->get(id)));
    responder.send(json_answer(agent_json(info)));
    return {};
}

// --- files ---

constexpr std::string_view kPassing = "passing-";

// A file that goes with the object.
class PassingFile {
  public:
    explicit PassingFile(const std::filesystem::path &folder) : path_(folder / random_name(kPassing)) {}
    ~PassingFile() {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }
    PassingFile(const PassingFile &) = delete;
    PassingFile &operator=(const PassingFile &) = delete;
    const std::filesystem::path &path() const { return path_; }

  private:
    std::filesystem::path path_;
};

ApiResult<void> export_agent(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    const std::string id(request.parameter("id"));
    const PassingFile file(app.options().manager.home);
    ENGRAM_TRY(api(caller.agents->export_agent(id, file.path())));
    std::ifstream bytes(file.path(), std::ios::binary);
    responder.start(200, {{"content-type", "application/octet-stream"},
                          {"content-disposition", std::format("attachment; filename=\"{}.engram\"", id)}});
    std::string piece(1 << 18, '\0');
    while (bytes.read(piece.data(), static_cast<std::streamsize>(piece.size())), bytes.gcount() > 0) {
        if (!responder.write(std::string_view(piece).substr(0, static_cast<std::size_t>(bytes.gcount())))) return {};
    }
    responder.end();
    return {};
}

ApiResult<void> import_agent(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::agents));
    ENGRAM_TRY(app.check_agent_quota(caller));
    const PassingFile file(app.options().manager.home);
    const auto written = [&]() -> Result<void> {
        ENGRAM_ASSIGN(const std::unique_ptr<WritableFile> bytes, posix_file_system().create(file.path()));  // for its owner alone
        const iovec whole{.iov_base = const_cast<char *>(request.body.data()), .iov_len = request.body.size()};
        return bytes->write({&whole, 1});
    }();
    if (!written) {
        return std::unexpected(ApiError{.kind = ApiErrorKind::no_space,
                                        .message = "the agent's file can't be written to the home folder: is the disk full?"});
    }
    const bool recompute = request.query_value("recompute").value_or("") == "true";
    auto imported = caller.agents->import_agent(
        file.path(), {.as = std::string(request.query_value("as").value_or("")), .recompute = recompute});
    // What is damaged here is what the client has sent, nothing of the server's.
    if (!imported && imported.error().code == ErrorCode::corrupt) imported.error().code = ErrorCode::invalid_argument;
    ENGRAM_ASSIGN(const AgentInfo info, api(std::move(imported)));
    responder.send(json_answer(agent_json(info), 201));
    return {};
}

}  // namespace

void remove_passing_files(const std::filesystem::path &home) {
    std::error_code ignored;
    for (const auto &entry : std::filesystem::directory_iterator(home, ignored)) {
        if (entry.path().filename().string().starts_with(kPassing)) std::filesystem::remove(entry.path(), ignored);
    }
}

std::vector<http::HttpRoute> agent_routes(App &app) {
    const std::string one = "/v1/agents/{id}";
    return {
        route(app, "GET", "/v1/agents", list),
        route(app, "POST", "/v1/agents", create),
        route(app, "POST", "/v1/agents/batch", batch),
        route(app, "POST", "/v1/agents/import", import_agent),
        route(app, "GET", one, get),
        route(app, "PATCH", one, patch),
        route(app, "DELETE", one, remove),
        route(app, "POST", one + "/turn", turn),
        route(app, "POST", one + "/fork", fork),
        route(app, "GET", one + "/transcript", transcript),
        route(app, "GET", one + "/stats", stats),
        route(app, "GET", one + "/export", export_agent),
        route(app, "POST", one + "/evict", evict),
        route(app, "POST", one + "/pin", acting([](AgentManager &agents, std::string_view id) { return agents.pin(id, true); })),
        route(app, "POST", one + "/unpin",
              acting([](AgentManager &agents, std::string_view id) { return agents.pin(id, false); })),
        route(app, "POST", one + "/prewarm",
              acting([](AgentManager &agents, std::string_view id) { return agents.prewarm(id); })),
        route(app, "POST", one + "/save", acting([](AgentManager &agents, std::string_view id) { return agents.save(id); })),
    };
}

}  // namespace engram::server
