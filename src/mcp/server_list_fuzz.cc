// Fuzz entry of the file that names tool servers: each that is read has a name, and either a program or an address.
#include "core/testing/fuzz.h"
#include "mcp/server_list.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    using namespace engram;
    using fuzz::require;
    const Environment environment = [](const std::string &name) {
        return name == "HOME" ? std::optional<std::string>("/home/ada") : std::nullopt;
    };
    const auto list = mcp::parse_server_list(fuzz::text_of(data, size), "servers.json", environment);
    if (!list) {
        require(list.error().code == ErrorCode::invalid_argument && list.error().message.starts_with("servers.json"));
        return 0;
    }
    if (!*list) return 0;
    for (const mcp::ServerConfig &config : **list) {
        require(!config.name.empty() && config.name.size() <= 64 && config.command.empty() != config.url.empty());
        require(config.timeout.count() >= 1 && config.timeout <= std::chrono::hours(24));
    }
    return 0;
}
