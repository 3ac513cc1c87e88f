#include "mcp/server_list.h"

#include <algorithm>
#include <cstdlib>
#include <format>
#include <fstream>
#include <iterator>

#include "chat/bounded_json.h"

namespace engram::mcp {
namespace {

constexpr std::size_t kMaxServers = 64;
constexpr std::size_t kMaxName = 64;
constexpr std::int64_t kMaxTimeoutMs = 24LL * 60 * 60 * 1000;

class Reader {
  public:
    Reader(std::string_view file, const std::string &server, const OrderedJson &json, const Environment &environment)
        : place_(std::format("{}: mcpServers.{}", file, server)), json_(json), environment_(environment) {}

    std::unexpected<Error> wrong(std::string_view member, std::string_view what) const {
        return fail(ErrorCode::invalid_argument, std::format("{}{}{} {}", place_, member.empty() ? "" : ".", member, what));
    }

    const OrderedJson *member(const char *name) const {
        const auto found = json_.find(name);
        return found == json_.end() || found->is_null() ? nullptr : &*found;
    }

    Result<std::string> text(const char *name) const {
        const OrderedJson *found = member(name);
        if (found == nullptr) return std::string();
        return expanded(*found, name);
    }

    Result<std::vector<std::string>> texts(const char *name) const {
        std::vector<std::string> list;
        const OrderedJson *found = member(name);
        if (found == nullptr) return list;
        if (!found->is_array()) return wrong(name, "must be a list of texts");
        for (const OrderedJson &item : *found) {
            ENGRAM_ASSIGN(std::string one, expanded(item, std::format("{}[{}]", name, list.size())));
            list.push_back(std::move(one));
        }
        return list;
    }

    Result<std::map<std::string, std::string>> text_map(const char *name) const {
        std::map<std::string, std::string> map;
        const OrderedJson *found = member(name);
        if (found == nullptr) return map;
        if (!found->is_object()) return wrong(name, "must be an object of texts");
        for (const auto &[key, value] : found->items()) {
            ENGRAM_ASSIGN(map[key], expanded(value, std::format("{}.{}", name, key)));
        }
        return map;
    }

    Result<bool> boolean(const char *name) const {
        const OrderedJson *found = member(name);
        if (found == nullptr) return false;
        if (!found->is_boolean()) return wrong(name, "must be true or false");
        return found->get<bool>();
    }

  private:
    // ${NAME} and ${NAME:-other} replaced; a lonely "$" or "${" stays.
    Result<std::string> expanded(const OrderedJson &json, std::string_view name) const {
        if (!json.is_string()) return wrong(name, "must be a text");
        const auto &text = json.get_ref<const std::string &>();
        std::string result;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t open = text.find("${", at);
            const std::size_t close = open == std::string::npos ? open : text.find('}', open);
            if (close == std::string::npos) return result + text.substr(at);
            result += text.substr(at, open - at);
            const std::string inside = text.substr(open + 2, close - open - 2);
            const std::size_t otherwise = inside.find(":-");
            const std::string variable = inside.substr(0, otherwise);
            const std::optional<std::string> value = environment_(variable);
            if (!value && otherwise == std::string::npos) {
                return wrong(name,
                             std::format("names ${{{0}}}, and there is no such variable in the environment; set it, or give a "
                                         "value to fall back on: ${{{0}:-value}}",
                                         variable));
            }
            result += value ? *value : inside.substr(otherwise + 2);
            at = close + 1;
        }
        return result;
    }

    const std::string place_;
    const OrderedJson &json_;
    const Environment &environment_;
};

bool is_name(std::string_view name) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    };
    return !name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, allowed);
}

Result<void> read_times_and_rights(const Reader &reader, ServerConfig &config) {
    if (const OrderedJson *timeout = reader.member("timeout"); timeout != nullptr) {
        const bool fits = timeout->is_number_integer() && *timeout >= 1 && *timeout <= kMaxTimeoutMs;
        if (!fits) return reader.wrong("timeout", "must be milliseconds, a whole number from 1 to a day's");
        config.timeout = std::chrono::milliseconds(timeout->get<std::int64_t>());
    }
    ENGRAM_ASSIGN(config.auto_approve, reader.texts("autoApprove"));
    ENGRAM_ASSIGN(const std::vector<std::string> always, reader.texts("alwaysAllow"));
    config.auto_approve.insert(config.auto_approve.end(), always.begin(), always.end());
    if (reader.member("tenants") != nullptr) {
        ENGRAM_ASSIGN(config.tenants, reader.texts("tenants"));
    }
    return {};
}

Result<ServerConfig> read_server(const Reader &reader, const std::string &name) {
    ServerConfig config{.name = name};
    ENGRAM_ASSIGN(config.command, reader.text("command"));
    ENGRAM_ASSIGN(config.args, reader.texts("args"));
    ENGRAM_ASSIGN(config.env, reader.text_map("env"));
    ENGRAM_ASSIGN(config.cwd, reader.text("cwd"));
    ENGRAM_ASSIGN(config.url, reader.text("url"));
    ENGRAM_ASSIGN(config.headers, reader.text_map("headers"));
    ENGRAM_ASSIGN(const std::string type, reader.text("type"));
    ENGRAM_TRY(read_times_and_rights(reader, config));
    if (type == "sse") {
        return reader.wrong("type", R"(is "sse", a transport that MCP has given up; most such servers speak "http" too)");
    }
    const bool over_http = type == "http" || type == "streamable-http" || type == "streamableHttp";
    if (!type.empty() && type != "stdio" && !over_http) return reader.wrong("type", R"(must be "stdio" or "http")");
    if (config.command.empty() == config.url.empty()) {
        return reader.wrong("", "needs either a command to start, or a url");
    }
    if (type == "stdio" && config.command.empty()) return reader.wrong("", R"(is of the type "stdio" and needs a command)");
    if (over_http && config.url.empty()) return reader.wrong("", R"(is of the type "http" and needs a url)");
    return config;
}

}  // namespace

Result<std::vector<ServerConfig>> parse_server_list(std::string_view json, std::string_view name,
                                                    const Environment &environment) {
    auto parsed = parse_bounded_json(json, kMaxServerListBytes);
    if (!parsed) return std::unexpected(std::move(parsed.error()).within(name));
    const auto list = parsed->find("mcpServers");
    if (!parsed->is_object() || list == parsed->end() || !list->is_object()) {
        return fail(ErrorCode::invalid_argument, std::format("{}: there must be an object \"mcpServers\"", name));
    }
    if (list->size() > kMaxServers) {
        return fail(ErrorCode::invalid_argument,
                    std::format("{}: {} servers; at most {} are possible", name, list->size(), kMaxServers));
    }
    std::vector<ServerConfig> servers;
    for (const auto &[key, value] : list->items()) {
        if (!is_name(key)) {
            return fail(
                ErrorCode::invalid_argument,
                std::format("{}: mcpServers: \"{}\" can't be a server's name, which has 1 to {} letters, digits, '-' and '_'",
                            name, key.substr(0, 80), kMaxName));
        }
        const Reader reader(name, key, value, environment);
        if (!value.is_object()) return reader.wrong("", "must be an object");
        ENGRAM_ASSIGN(const bool disabled, reader.boolean("disabled"));
        if (disabled) continue;
        ENGRAM_ASSIGN(ServerConfig config, read_server(reader, key));
        servers.push_back(std::move(config));
    }
    return servers;
}

Result<std::vector<ServerConfig>> read_server_list(const std::filesystem::path &file) {
    std::error_code error;
    const auto size = std::filesystem::file_size(file, error);
    if (error) {
        return fail(error == std::errc::no_such_file_or_directory ? ErrorCode::not_found : ErrorCode::io,
                    std::format("can't read {}: {}", file.string(), error.message()));
    }
    if (size > kMaxServerListBytes) {
        return fail(ErrorCode::invalid_argument, std::format("{} has more than {} bytes", file.string(), kMaxServerListBytes));
    }
    std::ifstream stream(file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    if (!stream) return fail(ErrorCode::io, std::format("can't read {}", file.string()));
    return parse_server_list(text, file.string(), [](const std::string &name) -> std::optional<std::string> {
        const char *value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): nobody sets variables
        if (value == nullptr) return std::nullopt;
        return value;
    });
}

}  // namespace engram::mcp
