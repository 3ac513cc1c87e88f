#include "server/response_store.h"

#include <array>
#include <format>

#include "ports/clock.h"
#include "sqlite/database_file.h"

namespace engram::server {
namespace {

const std::array<std::string, 1> kMigrations{R"(
    CREATE TABLE responses (
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        created_s INTEGER NOT NULL,
        instruction_messages INTEGER NOT NULL,
        response TEXT NOT NULL,
        input_items TEXT NOT NULL,
        PRIMARY KEY (tenant, id)
    ) STRICT;
    CREATE INDEX responses_by_age ON responses (created_s);
    CREATE TABLE items (
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        response TEXT NOT NULL,
        item TEXT NOT NULL,
        PRIMARY KEY (tenant, id)
    ) STRICT;
    CREATE INDEX items_by_response ON items (tenant, response);
)"};

constexpr std::int64_t kLifeS = 30LL * 24 * 60 * 60;
constexpr std::uint64_t kPutsPerCleaning = 256;
constexpr std::size_t kMaxJsonBytes = 64UZ << 20U;

}  // namespace

Result<std::unique_ptr<ResponseStore>> ResponseStore::open(const std::filesystem::path &file) {
    const sqlite::FileKind kind{.name = "the file of stored responses",
                                .holds = "responses that clients may come back for",
                                .application_id = 0x456e6773,
                                .migrations = kMigrations};
    ENGRAM_ASSIGN(sqlite::Database database, sqlite::open_file(file, kind));
    std::unique_ptr<ResponseStore> store(new ResponseStore(std::move(database)));
    ENGRAM_TRY(store->prepare());
    return store;
}

Result<void> ResponseStore::prepare() {
    const auto make = [this](sqlite::Statement &statement, std::string_view sql) -> Result<void> {
        ENGRAM_ASSIGN(statement, database_.prepare(sql));
        return {};
    };
    ENGRAM_TRY(make(put_,
                    "INSERT OR REPLACE INTO responses (tenant, id, created_s, instruction_messages, response, input_items)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
    ENGRAM_TRY(make(put_item_, "INSERT OR REPLACE INTO items (tenant, id, response, item) VALUES (?1, ?2, ?3, ?4)"));
    ENGRAM_TRY(make(find_,
                    "SELECT id, created_s, instruction_messages, response, input_items FROM responses"
                    " WHERE tenant = ?1 AND id = ?2"));
    ENGRAM_TRY(make(remove_, "DELETE FROM responses WHERE tenant = ?1 AND id = ?2 RETURNING 1"));
    ENGRAM_TRY(make(remove_items_, "DELETE FROM items WHERE tenant = ?1 AND response = ?2"));
    ENGRAM_TRY(make(item_, "SELECT item FROM items WHERE tenant = ?1 AND id = ?2"));
    const std::string old = std::format(
        "SELECT tenant, id FROM responses WHERE created_s < ?1 UNION ALL"
        " SELECT tenant, id FROM (SELECT tenant, id, row_number() OVER (PARTITION BY tenant"
        " ORDER BY created_s DESC, rowid DESC) AS place FROM responses) WHERE place > {}",
        kMaxResponses);
    ENGRAM_TRY(make(remove_old_items_, std::format("DELETE FROM items WHERE (tenant, response) IN ({})", old)));
    return make(remove_old_, std::format("DELETE FROM responses WHERE (tenant, id) IN ({})", old));
}

Result<void> ResponseStore::put(std::string_view tenant, const StoredResponse &response) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(auto transaction, sqlite::Transaction::begin(database_, sqlite::Transaction::Kind::write));
    ENGRAM_TRY(
        put_.run(tenant, response.id, response.created_s, response.instruction_messages, response.response, response.input_items)
            .finish());
    const auto put_items = [&](const OrderedJson &items) -> Result<void> {
        for (const OrderedJson &item : items) {
            const auto id = item.is_object() ? item.find("id") : item.end();
            if (id == item.end() || !id->is_string()) continue;
            ENGRAM_TRY(put_item_
                           .run(tenant, id->get_ref<const std::string &>(), response.id,
                                item.dump(-1, ' ', false, OrderedJson::error_handler_t::replace))
                           .finish());
        }
        return {};
    };
    if (const auto items = parse_bounded_json(response.input_items, kMaxJsonBytes); items && items->is_array()) {
        ENGRAM_TRY(put_items(*items));
    }
    if (const auto whole = parse_bounded_json(response.response, kMaxJsonBytes); whole && whole->is_object()) {
        if (const auto output = whole->find("output"); output != whole->end() && output->is_array()) {
            ENGRAM_TRY(put_items(*output));
        }
    }
    if (++puts_ % kPutsPerCleaning == 0) ENGRAM_TRY(remove_rows(system_clock().wall_ms() / 1000 - kLifeS));
    return transaction.commit();
}

Result<std::optional<StoredResponse>> ResponseStore::find(std::string_view tenant, std::string_view id) {
    const std::scoped_lock lock(mutex_);
    auto run = find_.run(tenant, id);
    ENGRAM_ASSIGN(const bool found, run.next());
    if (!found) return std::nullopt;
    return StoredResponse{.id = std::string(run.text(0)),
                          .created_s = run.integer(1),
                          .instruction_messages = static_cast<std::uint64_t>(run.integer(2)),
                          .response = std::string(run.text(3)),
                          .input_items = std::string(run.text(4))};
}

Result<bool> ResponseStore::remove(std::string_view tenant, std::string_view id) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(auto transaction, sqlite::Transaction::begin(database_, sqlite::Transaction::Kind::write));
    ENGRAM_TRY(remove_items_.run(tenant, id).finish());
    bool found = false;
    {
        auto run = remove_.run(tenant, id);
        ENGRAM_ASSIGN(found, run.next());
        ENGRAM_TRY(run.finish());
    }
    ENGRAM_TRY(transaction.commit());
    return found;
}

Result<std::optional<OrderedJson>> ResponseStore::item(std::string_view tenant, std::string_view item_id) {
    const std::scoped_lock lock(mutex_);
    auto run = item_.run(tenant, item_id);
    ENGRAM_ASSIGN(const bool found, run.next());
    if (!found) return std::nullopt;
    ENGRAM_ASSIGN(OrderedJson item, parse_bounded_json(run.text(0), kMaxJsonBytes));
    return item;
}

Result<void> ResponseStore::remove_rows(std::int64_t created_before_s) {
    ENGRAM_TRY(remove_old_items_.run(created_before_s).finish());
    return remove_old_.run(created_before_s).finish();
}

Result<void> ResponseStore::remove_old(std::int64_t now_s) {
    const std::scoped_lock lock(mutex_);
    ENGRAM_ASSIGN(auto transaction, sqlite::Transaction::begin(database_, sqlite::Transaction::Kind::write));
    ENGRAM_TRY(remove_rows(now_s - kLifeS));
    return transaction.commit();
}

}  // namespace engram::server
