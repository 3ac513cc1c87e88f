#include "a2a/remote_list.h"

#include "http/fetch.h"

namespace engram::a2a {
namespace {

Result<RemoteConfig> read_remote(const JsonEntry &entry) {
    RemoteConfig config{.name = entry.name()};
    ENGRAM_ASSIGN(config.url, entry.text("url"));
    if (!http::check_url(config.url))
        return entry.wrong("url", "must be the http or https address of an agent's card, or of its agent");
    ENGRAM_ASSIGN(config.description, entry.text("description"));
    ENGRAM_ASSIGN(config.headers, entry.text_map("headers"));
    ENGRAM_ASSIGN(config.timeout, entry.milliseconds("timeout", config.timeout));
    if (entry.has("tenants")) {
        ENGRAM_ASSIGN(config.tenants, entry.texts("tenants"));
    }
    return config;
}

}  // namespace

Result<std::optional<std::vector<RemoteConfig>>> parse_remote_list(std::string_view json, std::string_view name,
                                                                   const Environment &environment) {
    std::vector<RemoteConfig> remotes;
    ENGRAM_ASSIGN(const bool there,
                  for_each_entry(json, name, "a2aAgents", environment, [&](const JsonEntry &entry) -> Result<void> {
                      ENGRAM_ASSIGN(RemoteConfig config, read_remote(entry));
                      remotes.push_back(std::move(config));
                      return {};
                  }));
    return there ? std::optional(std::move(remotes)) : std::nullopt;
}

}  // namespace engram::a2a
