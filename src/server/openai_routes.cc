// POST /v1/chat/completions, /v1/completions and /v1/embeddings.
#include <span>

#include "protocol/openai/chat_answer.h"
#include "protocol/openai/chat_request.h"
#include "protocol/openai/completions.h"
#include "protocol/openai/embeddings.h"
#include "server/app.h"
#include "server/client_headers.h"
#include "server/delivery.h"
#include "server/report.h"

namespace engram::server {
namespace {

using namespace protocol;
using namespace protocol::openai;

ApiResult<void> chat_completions(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    ENGRAM_ASSIGN(const OrderedJson body, parse_body(request.body, app.options().max_body_bytes));
    ENGRAM_ASSIGN(ChatCompletionRequest parsed, parse_chat_request(body, app.options().sampling));
    ENGRAM_TRY(app.check_model(parsed.chat.model));
    take_client_headers(request, parsed.chat);
    const AnswerHead head = answer_head(app, "chatcmpl-", parsed.chat.model);
    const ChatAnswerOptions options{.include_usage = parsed.include_usage, .legacy_functions = parsed.legacy_functions};
    ChatCall call{.chat = std::move(parsed.chat),
                  .stream = parsed.stream,
                  .ping = std::string(kSsePing),
                  .take = {},
                  .end = {},
                  .fail = {},
                  .whole = {},
                  .report = {}};
    ENGRAM_ASSIGN(const bool report, wants_report(request, body));
    if (report) {
        call.report = [head](const OrderedJson &told) {
            return sse_frame({{"id", head.id},
                              {"object", "chat.completion.chunk"},
                              {"created", head.created_s},
                              {"model", head.model},
                              {"choices", OrderedJson::array()},
                              {"engram", told}});
        };
    }
    if (parsed.stream) {
        const auto stream = std::make_shared<ChatStream>(head, options);
        call.take = [stream](const ChatEvent &event) { return stream->frames(event); };
        call.end = [stream] { return stream->end(); };
        call.fail = [stream](const ApiError &error) { return stream->fail(error); };
    } else {
        const auto collector = std::make_shared<ChatCollector>(head, options);
        call.take = [collector](const ChatEvent &event) {
            collector->add(event);
            return std::string();
        };
        call.whole = [collector] { return dump(collector->json()); };
    }
    return answer(app, caller, std::move(call), request, responder);
}

// Text of token ids, as the model writes them.
ApiResult<std::string> text_of(const Caller &caller, std::span<const std::int32_t> tokens) {
    auto text = caller.agents->detokenise(tokens);
    if (!text) return std::unexpected(api_error(text.error()));
    return std::move(*text);
}

ApiResult<void> completions(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    ENGRAM_ASSIGN(const OrderedJson body, parse_body(request.body, app.options().max_body_bytes));
    ENGRAM_ASSIGN(CompletionRequest parsed, parse_completion_request(body, app.options().sampling));
    ENGRAM_TRY(app.check_model(parsed.chat.model));
    for (CompletionPrompt &prompt : parsed.prompts) {
        if (prompt.tokens.empty()) continue;
        ENGRAM_ASSIGN(prompt.text, text_of(caller, prompt.tokens));
    }
    ENGRAM_ASSIGN(const App::Place place, app.admit(caller));
    const AnswerHead head = answer_head(app, "cmpl-", parsed.chat.model);
    CompletionStream stream(head, parsed);
    CompletionCollector collector(head, parsed);
    Delivery delivery(app, caller, request, responder, {.stream = parsed.stream, .ping = std::string(kSsePing), .account = {}});
    for (std::size_t i = 0; i < parsed.prompts.size(); ++i) {
        ChatRequest chat = parsed.chat;
        chat.raw_prompt = parsed.prompts[i].text;
        const auto take = [&](const ChatEvent &event) {
            if (parsed.stream) return stream.frames(i, event);
            collector.add(i, event);
            return std::string();
        };
        const auto done = caller.agents->chat(chat, [&](const ChatEvent &event) { delivery.take(event, take); }, request.stop);
        if (done) continue;
        const ApiError error = api_error(done.error());
        return delivery.fail(error, [&] { return stream.fail(error); });
    }
    return delivery.finish([&] { return stream.end(); }, [&]() -> ApiResult<std::string> { return dump(collector.json()); });
}

ApiResult<void> embeddings(App &app, const http::HttpRequest &request, http::HttpResponder &responder) {
    ENGRAM_ASSIGN(const Caller caller, app.caller(request, Scope::chat));
    ENGRAM_ASSIGN(const OrderedJson body, parse_body(request.body, app.options().max_body_bytes));
    ENGRAM_ASSIGN(const EmbeddingRequest parsed, parse_embedding_request(body));
    ENGRAM_TRY(app.check_model(parsed.model));
    ENGRAM_ASSIGN(const App::Place place, app.admit(caller));
    responder.set_tenant(caller.tenant);
    std::vector<std::vector<float>> vectors;
    std::uint64_t tokens = 0;
    for (const EmbeddingInput &input : parsed.inputs) {
        if (request.stop.stop_requested()) break;  // nobody waits for the rest
        auto embedding = input.tokens.empty() ? caller.agents->embed(input.text) : caller.agents->embed(input.tokens);
        if (!embedding) return std::unexpected(api_error(embedding.error()));
        vectors.push_back(std::move(embedding->vector));
        tokens += embedding->tokens;
    }
    app.tenants().record(caller.tenant, {}, {.requests = 1, .computed_tokens = tokens});
    ENGRAM_ASSIGN(const OrderedJson answer, embedding_answer(parsed, app.answer_model(parsed.model), vectors, tokens));
    responder.send(json_answer(answer));
    return {};
}

}  // namespace

std::vector<http::HttpRoute> openai_routes(App &app) {
    return {route(app, "POST", "/v1/chat/completions", chat_completions), route(app, "POST", "/v1/completions", completions),
            route(app, "POST", "/v1/embeddings", embeddings)};
}

}  // namespace engram::server
