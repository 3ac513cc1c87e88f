#include "server/a2a_methods.h"

#include <algorithm>
#include <format>
#include <utility>

#include "protocol/a2a/card.h"
#include "protocol/a2a/read.h"
#include "protocol/a2a/rpc.h"
#include "protocol/a2a/write.h"
#include "server/a2a_work.h"

namespace engram::server {

using namespace protocol::a2a;
using protocol::Field;

namespace {

std::string dump(const OrderedJson &json) { return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace); }

Task with_history(Task task, std::optional<std::uint32_t> length) {
    if (length && task.history.size() > *length) {
        task.history.erase(task.history.begin(), task.history.end() - static_cast<std::ptrdiff_t>(*length));
    }
    return task;
}

StreamEvent with_history(const StreamEvent &event, std::optional<std::uint32_t> length) {
    if (const auto *task = std::get_if<Task>(&event)) return with_history(*task, length);
    return event;
}

bool is_stream(Method method) { return method == Method::send_streaming_message || method == Method::subscribe_to_task; }

// Where this address is, as the client wrote it.
std::string url_of(const http::HttpRequest &request, bool tls, const std::optional<std::string> &agent) {
    const std::string_view host = request.header("host");
    std::string url = std::format("{}://{}/a2a", tls ? "https" : "http", host.empty() ? "localhost" : host);
    if (agent) url += "/agents/" + *agent;
    return url;
}

}  // namespace

http::HttpAnswer A2aBinding::answer(OrderedJson result) const {
    if (rpc) result = rpc_result(id, std::move(result));
    http::HttpAnswer answer = json_answer(dump(result));
    if (!rpc) answer.headers = {{"content-type", media_type}};
    return answer;
}

http::HttpAnswer A2aBinding::error(const A2aError &error) const {
    http::HttpAnswer answer = rpc ? json_answer(dump(rpc_failure(id, error, dialect)), rpc_http_status(error.kind))
                                  : json_answer(dump(http_error(error)), http_status(error.kind));
    if (!rpc) answer.headers = {{"content-type", media_type}};
    if (error.kind == A2aErrorKind::unauthenticated) answer.headers.emplace_back("www-authenticate", "Bearer");
    if (error.retry_after_s > 0) answer.headers.emplace_back("retry-after", std::to_string(error.retry_after_s));
    return answer;
}

std::string A2aBinding::frame(const StreamEvent &event) const {
    OrderedJson json = event_json(event, dialect);
    if (rpc) json = rpc_result(id, std::move(json));
    return std::format("data: {}\n\n", dump(json));
}

A2aResult<bool> A2aMethods::call(const http::HttpRequest &request, http::HttpResponder &responder, const A2aCall &call,
                                 Answered answered) {
    ENGRAM_ASSIGN(Caller caller, app_.caller(request, Scope::chat));
    responder.set_tenant(caller.tenant);
    const A2aPlace place{.tenant = caller.tenant, .agent = call.agent};
    const Asked asked{.request = request, .call = call, .place = place};
    switch (call.method) {
        case Method::send_message:
        case Method::send_streaming_message: return send(std::move(caller), asked, responder, std::move(answered));
        case Method::subscribe_to_task: return subscribe(asked, responder, std::move(answered));
        default: break;
    }
    ENGRAM_ASSIGN(OrderedJson json, result(asked));
    responder.send(call.binding.answer(std::move(json)));
    return true;
}

A2aResult<bool> A2aMethods::send(Caller caller, const Asked &asked, http::HttpResponder &responder, Answered answered) {
    const A2aBinding &binding = asked.call.binding;
    ENGRAM_ASSIGN(SendRequest send, read_send(Field(asked.call.params), binding.dialect));
    A2aListener listener{.responder = std::move(responder),
                         .frame = [binding](const StreamEvent &event) { return binding.frame(event); },
                         .whole =
                             [binding, length = send.history_length](const StreamEvent &event) {
                                 return binding.answer(event_json(with_history(event, length), binding.dialect));
                             },
                         .answered = std::move(answered),
                         .stream = is_stream(asked.call.method)};
    const auto sent = tasks_.send(std::move(caller), asked.place, std::move(send), listener);
    if (!sent) {
        responder = std::move(listener.responder);
        return std::unexpected(sent.error());
    }
    return false;
}

A2aResult<bool> A2aMethods::subscribe(const Asked &asked, http::HttpResponder &responder, Answered answered) {
    const A2aBinding &binding = asked.call.binding;
    ENGRAM_ASSIGN(const TaskQuery query, read_task_query(Field(asked.call.params)));
    A2aListener listener{.responder = std::move(responder),
                         .frame = [binding](const StreamEvent &event) { return binding.frame(event); },
                         .whole = {},
                         .answered = std::move(answered),
                         .stream = true};
    const auto subscribed = tasks_.subscribe(asked.place, query.id, listener);
    if (!subscribed) {
        responder = std::move(listener.responder);
        return std::unexpected(subscribed.error());
    }
    return false;
}

A2aResult<OrderedJson> A2aMethods::result(const Asked &asked) {
    const Field params(asked.call.params);
    const WireVersion dialect = asked.call.binding.dialect;
    switch (asked.call.method) {
        case Method::get_task: {
            ENGRAM_ASSIGN(const TaskQuery query, read_task_query(params));
            ENGRAM_ASSIGN(const Task task, tasks_.get(asked.place, query.id));
            return task_json(task, dialect, {.history_length = query.history_length});
        }
        case Method::cancel_task: {
            ENGRAM_ASSIGN(const TaskQuery query, read_task_query(params));
            ENGRAM_ASSIGN(const Task task, tasks_.cancel(asked.place, query.id));
            return task_json(task, dialect);
        }
        case Method::list_tasks: return list(asked);
        case Method::get_extended_card: return card(asked.request, asked.call.agent, dialect, true);
        default: return hooks(asked);
    }
}

A2aResult<OrderedJson> A2aMethods::list(const Asked &asked) {
    ENGRAM_ASSIGN(const ListQuery query, read_list_query(Field(asked.call.params)));
    ENGRAM_ASSIGN(const A2aTasks::Page page, tasks_.list(asked.place, query));
    OrderedJson tasks = OrderedJson::array();
    for (const Task &task : page.tasks) {
        tasks.push_back(
            task_json(task, WireVersion::v1_0, {.history_length = query.history_length, .artifacts = query.include_artifacts}));
    }
    return OrderedJson{{"tasks", std::move(tasks)},
                       {"nextPageToken", page.next_token},
                       {"pageSize", query.page_size},
                       {"totalSize", page.total}};
}

A2aResult<OrderedJson> A2aMethods::hooks(const Asked &asked) {
    const Field params(asked.call.params);
    const WireVersion dialect = asked.call.binding.dialect;
    const auto in_dialect = [&](PushConfig hook) {
        hook.dialect = dialect;
        return push_config_json(hook);
    };
    if (asked.call.method == Method::create_push_config) {
        ENGRAM_ASSIGN(PushConfig hook, read_new_push_config(params, dialect));
        ENGRAM_ASSIGN(hook, tasks_.create_hook(asked.place, std::move(hook)));
        return in_dialect(hook);
    }
    if (asked.call.method == Method::list_push_configs) {
        ENGRAM_ASSIGN(const std::string task, read_task_of_push_configs(params, dialect));
        ENGRAM_ASSIGN(const std::vector<PushConfig> all, tasks_.hooks(asked.place, task));
        OrderedJson list = OrderedJson::array();
        for (const PushConfig &hook : all) list.push_back(in_dialect(hook));
        if (dialect == WireVersion::v0_3) return list;
        return OrderedJson{{"configs", std::move(list)}, {"nextPageToken", ""}};
    }
    ENGRAM_ASSIGN(const PushConfigName name, read_push_config_name(params, dialect));
    if (asked.call.method == Method::get_push_config) {
        ENGRAM_ASSIGN(const PushConfig hook, tasks_.hook(asked.place, name));
        return in_dialect(hook);
    }
    ENGRAM_TRY(tasks_.remove_hook(asked.place, name));
    return dialect == WireVersion::v0_3 ? OrderedJson() : OrderedJson::object();
}

A2aResult<OrderedJson> A2aMethods::card(const http::HttpRequest &request, const std::optional<std::string> &agent,
                                        WireVersion dialect, bool agents) {
    CardFacts facts = facts_of(std::span<const AgentInfo>());
    if (agent || agents) {
        ENGRAM_ASSIGN(const Caller caller, app_.caller(request, Scope::chat));
        if (agent) {
            const auto info = caller.agents->get(*agent);
            if (!info || info->conversation || is_context(*info)) {
                return std::unexpected(A2aError(A2aErrorKind::agent_not_found, std::format("there is no agent \"{}\"", *agent)));
            }
            facts = facts_of(*info);
        } else {
            auto all = caller.agents->list();
            if (!all) return std::unexpected(A2aError(protocol::api_error(all.error())));
            std::erase_if(*all, [](const AgentInfo &info) { return info.conversation || is_context(info); });
            facts = facts_of(*all);
        }
    }
    const bool open = !app_.options().allow_remote && app_.tenants().authenticate({.local = true}).has_value();
    facts.needs_key = !open;
    facts.url = url_of(request, !app_.options().certificate.empty(), agent);
    return dialect == WireVersion::v1_0 ? card_json(facts) : card_json_0_3(facts);
}

}  // namespace engram::server
