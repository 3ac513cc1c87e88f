// The agents of a running server, for a program that changes them over its API (/v1/agents).
//
// One thread at a time. Errors say the server's own sentence: invalid_argument (also a key that it doesn't take), not_found,
// already_exists, over_budget (a quota), io (nobody answers, or something else than such a server).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engram/agents.h"
#include "http/fetch.h"

namespace engram {

class AgentClient {
  public:
    struct Options {
        std::string url;  // "http://127.0.0.1:8000"
        std::string key;  // sent as a bearer token; empty: none
    };
    static Result<AgentClient> open(Options options);  // invalid_argument: the address; nobody is asked yet

    // The key's tenant's, by id, but for conversations that nobody named. Of each what describes it, not what it has stored.
    Result<std::vector<AgentInfo>> list();
    Result<void> create(const AgentSpec &spec);
    Result<void> change(std::string_view id, const AgentChange &change);
    Result<void> retain(std::string_view id, Retention retention);
    Result<void> remove(std::string_view id);

  private:
    AgentClient(Options options, http::Fetcher fetcher) : options_(std::move(options)), fetcher_(std::move(fetcher)) {}
    // The answer's body. `target` follows /v1/agents; an empty body: none is sent.
    Result<std::string> ask(const char *method, std::string_view target, std::string body = {});

    Options options_;
    http::Fetcher fetcher_;
};

}  // namespace engram
