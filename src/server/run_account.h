// What a run uses, in the metrics and in the tenant's ledger: each answer for the agent that gave it. One thread.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "engram/teams.h"
#include "server/app.h"

namespace engram::server {

class RunAccount {
  public:
    RunAccount(App &app, std::string tenant) : app_(app), tenant_(std::move(tenant)) {}

    void take(const RunEvent &event) {
        const auto *answering = std::get_if<RunAnswering>(&event);
        if (answering == nullptr) return;
        if (const auto *started = std::get_if<ChatStarted>(&answering->event)) {
            started_[answering->agent] = *started;
            app_.metrics().started(tenant_, *started);
        }
        const auto *finished = std::get_if<ChatFinished>(&answering->event);
        if (finished == nullptr) return;
        app_.metrics().finished(tenant_, *finished);
        const ChatStarted &started = started_[answering->agent];
        app_.tenants().record(tenant_, answering->agent,
                              {.requests = 1,
                               .computed_tokens = started.prompt_tokens - started.cached_tokens,
                               .reused_tokens = started.cached_tokens,
                               .generated_tokens = finished->answer_tokens});
    }

  private:
    App &app_;
    const std::string tenant_;
    std::map<std::string, ChatStarted> started_;  // of those that answer now
};

}  // namespace engram::server
