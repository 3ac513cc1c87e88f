#include "server/a2a_test_mode.h"

#include <algorithm>
#include <array>

namespace engram::server {
namespace {

using namespace protocol::a2a;
using Script = std::vector<ScriptStep>;

constexpr std::chrono::seconds kLong{5};  // more than twice the time that the kit waits for a stream

Part text_part(std::string_view text) { return {.kind = Part::Kind::text, .content = std::string(text)}; }

Part file_part(Part::Kind kind, std::string_view content) {
    return {.kind = kind, .content = std::string(content), .filename = "output.txt", .media_type = "text/plain"};
}

Script working_with(std::vector<ScriptArtifact> artifacts) {
    Script script{ScriptStatus{TaskState::working}};
    for (ScriptArtifact &artifact : artifacts) script.emplace_back(std::move(artifact));
    script.emplace_back(ScriptStatus{TaskState::completed});
    return script;
}

Script completed_with(Part part) { return working_with({ScriptArtifact{.part = std::move(part)}}); }

Part output_file() { return file_part(Part::Kind::raw, "VENL"); }  // "TCK"

struct Entry {
    std::string_view prefix;
    Script (*script)();
};
constexpr auto kScripts = std::to_array<Entry>({
    {"tck-complete-task", [] { return Script{ScriptStatus{TaskState::completed, "Hello from TCK"}}; }},
    {"tck-artifact-text", [] { return completed_with(text_part("Generated text content")); }},
    {"tck-artifact-file-url", [] { return completed_with(file_part(Part::Kind::url, "https://example.com/output.txt")); }},
    {"tck-artifact-file", [] { return completed_with(output_file()); }},
    {"tck-artifact-data", [] { return completed_with({.kind = Part::Kind::data, .content = R"({"key":"value","count":42})"}); }},
    {"tck-message-response", [] { return Script{ScriptMessage{"Direct message response"}}; }},
    {"tck-input-required", [] { return Script{ScriptStatus{TaskState::input_required}}; }},
    {"tck-reject-task", [] { return Script{ScriptStatus{TaskState::rejected, "rejected"}}; }},
    {"tck-stream-001", [] { return completed_with(text_part("Stream hello from TCK")); }},
    {"tck-stream-002", [] { return Script{ScriptStatus{TaskState::completed}}; }},
    {"tck-stream-003", [] { return completed_with(text_part("Stream task lifecycle")); }},
    {"tck-stream-ordering-001", [] { return completed_with(text_part("Ordered output")); }},
    {"tck-stream-artifact-text", [] { return completed_with(text_part("Streamed text content")); }},
    {"tck-stream-artifact-file", [] { return completed_with(output_file()); }},
    {"tck-stream-artifact-chunked",
     [] {
         return working_with({{.part = text_part("chunk-1 "), .last = false}, {.part = text_part("chunk-2"), .append = true}});
     }},
    {"test-resubscribe-message-id",
     [] { return Script{ScriptStatus{TaskState::working}, ScriptWait{kLong}, ScriptStatus{TaskState::completed}}; }},
});

}  // namespace

std::optional<std::vector<ScriptStep>> script_of(std::string_view message_id) {
    const auto found = std::ranges::find_if(kScripts, [&](const Entry &entry) { return message_id.starts_with(entry.prefix); });
    if (found == kScripts.end()) return std::nullopt;
    return found->script();
}

}  // namespace engram::server
