// Webhooks that don't take what they are sent.
#include "server/a2a_push.h"

#include <format>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "http/testing/test_server.h"
#include "ports/clock.h"
#include "sqlite/testing/database_fixture.h"

namespace engram::server {
namespace {

using namespace std::chrono_literals;

class A2aPushQueueTest : public DatabaseFileTest {
  protected:
    A2aPushQueueTest() : DatabaseFileTest("tasks.db") {
        auto opened = A2aTaskStore::open(file_);
        EXPECT_TRUE(opened) << why(opened);
        store_ = std::move(*opened);
        task_ = {.tenant = "red", .agent = "", .memory = "a2a-1", .created_ms = 5};
        task_.task = {.id = "t", .context_id = "c"};
        EXPECT_TRUE(store_->create(task_));
    }
    void start(std::uint64_t max_waiting_bytes = A2aPush::kMaxWaitingBytes) {
        push_ = std::make_unique<A2aPush>(*store_, A2aPush::Options{.allow_private = true,
                                                                    .first_retry = 5ms,
                                                                    .max_waiting_bytes = max_waiting_bytes,
                                                                    .warn = [this](std::string_view sentence) {
                                                                        const std::scoped_lock lock(mutex_);
                                                                        warnings_.emplace_back(sentence);
                                                                    }});
        ASSERT_TRUE(push_->restore());
    }
    std::int64_t tell(const std::string &body, std::int64_t created_ms = system_clock().wall_ms(),
                      const std::string &tenant = "red") {
        std::vector<A2aNotification> told{{.tenant = tenant,
                                           .hook = {.task_id = "t", .id = "h", .url = server_->address() + "/hook"},
                                           .body = body,
                                           .created_ms = created_ms}};
        EXPECT_TRUE(store_->update(task_, 0, told));
        if (push_ != nullptr) push_->send(told.front());
        return told.front().id;
    }
    bool all_over() {
        return http::eventually([this] { return push_->idle(); }) && store_->waiting_notifications()->empty();
    }
    std::vector<std::string> taken() {
        const std::scoped_lock lock(mutex_);
        return taken_;
    }
    std::size_t warnings() {
        const std::scoped_lock lock(mutex_);
        return warnings_.size();
    }

    std::mutex mutex_;                              // for what follows
    std::vector<std::string> taken_, warnings_;     // bodies that a 200 answered
    std::map<std::string, std::vector<int>> says_;  // before that, by body: the statuses of the first answers
    std::unique_ptr<http::HttpServer> server_ = http::start_server(
        {http::make_route("POST", "/hook", [this](const http::HttpRequest &request, http::HttpResponder &responder) {
            const std::scoped_lock lock(mutex_);
            std::vector<int> &statuses = says_[request.body];
            const int status = statuses.empty() ? 200 : statuses.front();
            if (!statuses.empty()) statuses.erase(statuses.begin());
            if (status == 200) taken_.push_back(request.body);
            responder.send({.status = status, .headers = {}, .body = ""});
            return Result<void>{};
        })});
    std::unique_ptr<A2aTaskStore> store_;
    StoredTask task_;
    std::unique_ptr<A2aPush> push_;
};

TEST_F(A2aPushQueueTest, TriesAgainMoreThanSixTimesAndInOrder) {
    says_["first"] = {500, 503, 429, 408, 500, 302, 500, 500};
    start();
    for (const char *body : {"first", "second"}) tell(body);
    EXPECT_TRUE(all_over());
    EXPECT_EQ(taken(), (std::vector<std::string>{"first", "second"}));
    EXPECT_EQ(warnings(), 0U);
}

TEST_F(A2aPushQueueTest, ARefusalAndADayAreFinal) {
    says_["refused"] = {410, 410};
    says_["old"] = {500, 500};
    tell("refused");
    tell("old", system_clock().wall_ms() - 25LL * 60 * 60 * 1000);
    tell("taken", 5);  // as old, and taken: whatever waits is tried once
    start();
    EXPECT_TRUE(all_over());
    EXPECT_EQ(taken(), std::vector<std::string>{"taken"});
    EXPECT_EQ(warnings(), 2U);
}

TEST_F(A2aPushQueueTest, TheOldestOfTheFullestTenantGoWhenTooMuchWaits) {
    for (const char *body : {"one", "two", "three", "blue"}) says_[body] = std::vector<int>(100'000, 500);
    start(3 * 1100);  // room for three
    const std::int64_t blue = tell("blue", system_clock().wall_ms(), "blue");
    tell("one");
    const std::int64_t two = tell("two");
    const std::int64_t three = tell("three");
    EXPECT_TRUE(http::eventually([&] { return store_->waiting_notifications()->size() == 3; }));
    std::vector<std::int64_t> ids;
    const auto left = store_->waiting_notifications();
    ASSERT_TRUE(left) << why(left);
    for (const WaitingNotification &waiting : *left) ids.push_back(waiting.id);
    EXPECT_EQ(ids, (std::vector<std::int64_t>{blue, two, three}));
    EXPECT_EQ(warnings(), 1U);
    push_->forget("red", "t", "h");
    push_.reset();
}

}  // namespace
}  // namespace engram::server
