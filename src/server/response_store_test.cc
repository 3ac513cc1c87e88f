#include "server/response_store.h"

#include <gtest/gtest.h>

#include <format>

#include "engine/testing/tiny_models.h"
#include "ports/clock.h"
#include "sqlite/database.h"

namespace engram::server {
namespace {

class ResponseStoreTest : public ::testing::Test {
  protected:
    std::unique_ptr<ResponseStore> open() {
        auto store = ResponseStore::open(folder_.path() / "responses.db");
        EXPECT_TRUE(store) << (store ? "" : store.error().message);
        return store ? std::move(*store) : nullptr;
    }
    static StoredResponse response(const std::string &id, std::int64_t created_s = 100) {
        return {.id = id,
                .created_s = created_s,
                .instruction_messages = 1,
                .response = R"({"id":")" + id + R"(","output":[{"id":"msg_)" + id + R"(","type":"message"}]})",
                .input_items = R"([{"id":"in_)" + id + R"(","type":"message"},{"type":"message"}])"};
    }

    testing::TemporaryFolder folder_;
};

TEST_F(ResponseStoreTest, KeepsResponsesAndTheirItems) {
    {
        const auto store = open();
        ASSERT_TRUE(store->put("a", response("r1")));
        ASSERT_TRUE(store->put("a", response("r2", 200)));
    }
    const auto store = open();
    const auto found = store->find("a", "r1");
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->instruction_messages, 1U);
    EXPECT_EQ((*found)->response, response("r1").response);
    EXPECT_EQ((*found)->input_items, response("r1").input_items);
    EXPECT_TRUE(*store->item("a", "msg_r1"));
    EXPECT_TRUE(*store->item("a", "in_r2"));
    EXPECT_FALSE(*store->item("a", "in_r3"));
}

TEST_F(ResponseStoreTest, OtherTenantsSeeNothing) {
    const auto store = open();
    ASSERT_TRUE(store->put("a", response("r1")));
    EXPECT_FALSE(*store->find("b", "r1"));
    EXPECT_FALSE(*store->item("b", "msg_r1"));
    EXPECT_FALSE(*store->remove("b", "r1"));
    EXPECT_TRUE(*store->find("a", "r1"));
}

TEST_F(ResponseStoreTest, ForgetsWhatIsRemovedAndWhatIsOld) {
    const auto store = open();
    for (const auto &[id, created] : {std::pair("old", 100), std::pair("new", 300), std::pair("gone", 300)}) {
        ASSERT_TRUE(store->put("a", response(id, created)));
    }
    EXPECT_TRUE(*store->remove("a", "gone"));
    EXPECT_FALSE(*store->remove("a", "gone"));
    ASSERT_TRUE(store->remove_old(200 + 30 * 24 * 60 * 60));
    for (const auto &[id, there] : {std::pair("old", false), std::pair("new", true), std::pair("gone", false)}) {
        EXPECT_EQ((*store->find("a", id)).has_value(), there) << id;
        EXPECT_EQ((*store->item("a", std::string("msg_") + id)).has_value(), there) << id;
        EXPECT_EQ((*store->item("a", std::string("in_") + id)).has_value(), there) << id;
    }
}

TEST_F(ResponseStoreTest, OnlyTheNewestStayOfTooMany) {
    const auto store = open();
    const std::int64_t now = system_clock().wall_ms() / 1000;
    ASSERT_TRUE(store->put("blue", response("mine", now - 100)));
    ASSERT_TRUE(store->put("red", response("oldest", now - 100)));
    auto database = sqlite::Database::open(folder_.path() / "responses.db");
    ASSERT_TRUE(database) << database.error().message;
    ASSERT_TRUE(
        database->execute(std::format("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
                                      " INSERT INTO responses SELECT 'red', 'x' || i, {}, 0, '{{}}', '[]' FROM n",
                                      ResponseStore::kMaxResponses, now - 50)));
    for (int i = 2; i < 256; ++i) ASSERT_TRUE(store->put("red", response(std::format("r{}", i), now)));
    EXPECT_FALSE(*store->find("red", "oldest")) << "the 256th has cleaned up";
    EXPECT_FALSE(*store->item("red", "msg_oldest"));
    EXPECT_TRUE(*store->find("red", "r2"));
    EXPECT_TRUE(*store->item("red", "msg_r255"));
    EXPECT_TRUE(*store->find("blue", "mine"));
    const auto count = database->integer("SELECT count(*) FROM responses WHERE tenant = 'red'");
    ASSERT_TRUE(count) << count.error().message;
    EXPECT_EQ(*count, static_cast<std::int64_t>(ResponseStore::kMaxResponses));
}

}  // namespace
}  // namespace engram::server
