// Responses that clients come back for (OpenAI's Responses API with `store`), in a file of its own beside the registry. What was
// said is not here but in the registry, by the answer's name (AgentManager::said_until).
//
// Thread-safe. Bounded: of a tenant's responses the newest kMaxResponses stay, and those of the last thirty days (remove_old);
// put sees to it now and then.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "chat/bounded_json.h"
#include "engram/error.h"
#include "sqlite/database.h"

namespace engram::server {

struct StoredResponse {
    std::string id;  // "resp_…"
    std::int64_t created_s = 0;
    std::uint64_t instruction_messages = 0;  // how many of the conversation's first messages are its instructions
    std::string response;                    // the response object, as it was answered
    std::string input_items;                 // a JSON list
};

class ResponseStore {
  public:
    static constexpr std::uint64_t kMaxResponses = 10'000;  // of each tenant

    // Creates the file when absent (0600). io, corrupt, incompatible, locked.
    static Result<std::unique_ptr<ResponseStore>> open(const std::filesystem::path &file);

    Result<void> put(std::string_view tenant, const StoredResponse &response);
    Result<std::optional<StoredResponse>> find(std::string_view tenant, std::string_view id);
    Result<bool> remove(std::string_view tenant, std::string_view id);  // false: there was none
    // An item of a response's input or output.
    Result<std::optional<OrderedJson>> item(std::string_view tenant, std::string_view item_id);
    // Those that are older than thirty days, and those beyond kMaxResponses of a tenant.
    Result<void> remove_old(std::int64_t now_s);

  private:
    explicit ResponseStore(sqlite::Database database) : database_(std::move(database)) {}
    Result<void> prepare();
    Result<void> remove_rows(std::int64_t created_before_s);  // within a transaction

    std::mutex mutex_;  // for all that follows
    sqlite::Database database_;
    sqlite::Statement put_, put_item_, find_, remove_, remove_items_, item_, remove_old_, remove_old_items_;
    std::uint64_t puts_ = 0;
};

}  // namespace engram::server
