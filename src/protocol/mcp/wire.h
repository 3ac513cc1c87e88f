// MCP on the wire: what requests say of themselves in the protocol's two eras, and the shapes of what is answered.
//
// Until 2025-11-25 a client begins with `initialize`, and what was agreed there holds for its session. Since 2026-07-28 each
// request says all by itself, in `params._meta` and, over HTTP, in headers that must agree with it. A server may speak both: who
// says its version in `_meta` (or a newer one in the header) is of the new era. Pure; for servers and clients.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/json_rpc.h"

namespace engram::protocol::mcp {

enum class Era : std::uint8_t { session, stateless };

inline constexpr std::string_view kStatelessVersion = "2026-07-28";
inline constexpr std::array<std::string_view, 2> kSessionVersions{"2025-11-25", "2025-06-18"};  // newest first
OrderedJson supported_versions();                                                               // all of them, newest first
bool is_session_version(std::string_view version);

// Beside those of JSON-RPC. A resource that isn't there was an error of its own in sessions, and is kRpcInvalidParams since.
inline constexpr std::int64_t kHeaderMismatch = -32020;
inline constexpr std::int64_t kMissingCapability = -32021;
inline constexpr std::int64_t kUnsupportedVersion = -32022;
inline constexpr std::int64_t kResourceNotFound = -32002;

inline constexpr std::string_view kMetaVersion = "io.modelcontextprotocol/protocolVersion";
inline constexpr std::string_view kMetaCapabilities = "io.modelcontextprotocol/clientCapabilities";
inline constexpr std::string_view kMetaClient = "io.modelcontextprotocol/clientInfo";
inline constexpr std::string_view kMetaServer = "io.modelcontextprotocol/serverInfo";
inline constexpr std::string_view kMetaLogLevel = "io.modelcontextprotocol/logLevel";

enum class LogLevel : std::uint8_t { debug, info, notice, warning, error, critical, alert, emergency };
std::string_view log_level_name(LogLevel level);
std::optional<LogLevel> log_level_from_name(std::string_view name);

// What a request says of itself.
struct CallMeta {
    Era era = Era::session;
    std::string version;
    OrderedJson client_capabilities = OrderedJson::object();
    std::optional<RpcId> progress_token;  // given: the client wants to be told of progress
    std::optional<LogLevel> log_level;    // least severe messages that it wants; none: it wants none
    bool operator==(const CallMeta &) const = default;
};

// A message's era, by its own version and, over HTTP, by the header MCP-Protocol-Version (empty: there is none).
Era era_of(const RpcMessage &message, std::string_view version_header);
// Of a request of the new era. kRpcInvalidParams: a member that it must have is missing or of another type; kUnsupportedVersion.
RpcResult<CallMeta> read_stateless_meta(const OrderedJson &params);
// Of a request in a session: the token of progress. kRpcInvalidParams: it is neither a text nor a whole number.
RpcResult<CallMeta> read_session_meta(const OrderedJson &params);

// Over HTTP, in the new era: empty headers are missing ones. kHeaderMismatch. To be asked before an unsupported version is told.
struct MirroredHeaders {
    std::string_view version, method, name;
};
RpcResult<void> check_headers(const RpcRequest &request, const MirroredHeaders &headers);
// Those that a client sends with a request, in small letters.
std::vector<std::pair<std::string, std::string>> mirrored_headers(const RpcRequest &request);
// What a header's value stands for: "=?base64?…?=" is decoded. nullopt: it can't be.
std::optional<std::string> header_value(std::string_view header);

// A message as it is sent: an answer to a message whose id could not be read has none here, where JSON-RPC has null.
std::string write_message(const RpcMessage &message);

// --- notifications ---

struct Progress {
    double done = 0;  // must grow from one to the next
    std::optional<double> total;
    std::string message;
};
RpcNotification progress_notification(const RpcId &token, const Progress &progress);
RpcNotification log_notification(LogLevel level, OrderedJson data);

// --- results ---

OrderedJson text_content(std::string_view text);
// A tool's result: what is told in words, and the same for programs.
OrderedJson tool_result(std::string_view text, OrderedJson structured);
OrderedJson tool_failure(std::string_view why);
OrderedJson text_resource(std::string_view uri, std::string_view media_type, std::string_view text);
OrderedJson empty_result();

// Whether, how long and by whom a result may be kept (new era).
struct CacheHint {
    std::int64_t ttl_ms = 0;
    bool for_everybody = false;
};
void add_cache_hint(OrderedJson &result, const CacheHint &hint);

// --- lists in pages: a cursor says after which name to go on ---

inline constexpr std::size_t kPageSize = 100;
std::string cursor_after(std::string_view name);
// Empty: from the beginning. kRpcInvalidParams: it is none of ours.
RpcResult<std::string> read_cursor(const OrderedJson &params);

}  // namespace engram::protocol::mcp
