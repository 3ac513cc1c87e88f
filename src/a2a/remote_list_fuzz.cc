// Fuzz entry of the file that names agents of other servers: what is read has names, addresses and times that can be used.
#include "a2a/remote_list.h"
#include "core/testing/fuzz.h"
#include "http/fetch.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    using namespace engram;
    using fuzz::require;
    const Environment environment = [](const std::string &name) {
        return name == "KEY" ? std::optional<std::string>("secret") : std::nullopt;
    };
    const auto list = a2a::parse_remote_list(fuzz::text_of(data, size), "servers.json", environment);
    if (!list) {
        require(list.error().code == ErrorCode::invalid_argument && list.error().message.starts_with("servers.json"));
        return 0;
    }
    if (!*list) return 0;
    for (const a2a::RemoteConfig &config : **list) {
        require(!config.name.empty() && config.name.size() <= 64 && http::check_url(config.url).has_value());
        require(config.timeout.count() >= 1 && config.timeout <= std::chrono::hours(24));
    }
    return 0;
}
