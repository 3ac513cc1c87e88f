#include "server/openapi.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <format>
#include <set>

#include "engine/testing/tiny_models.h"
#include "server/server.h"

namespace engram {
namespace {

// What the document describes is what the server answers, and the other way round.
TEST(OpenApi, DescribesEveryRouteAndNoOther) {
    testing::TemporaryFolder home;
    ServeOptions options;
    options.manager.home = home.path();
    options.manager.model = testing::tiny_options("tiny-llama");
    options.port = 0;
    auto server = Server::start(std::move(options));
    ASSERT_TRUE(server) << server.error().message;
    std::set<std::string> served;
    for (auto [method, path] : (*server)->routes()) {
        std::ranges::transform(method, method.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        served.insert(std::format("{} {}", method, path));
    }
    std::set<std::string> described;
    for (const auto &[path, methods] : server::openapi_document()["paths"].items()) {
        for (const auto &[method, operation] : methods.items()) described.insert(std::format("{} {}", method, path));
    }
    EXPECT_EQ(described, served);
}

TEST(OpenApi, EveryReferenceLeadsSomewhere) {
    const OrderedJson document = server::openapi_document();
    std::set<std::string> ids;
    for (const auto &[path, value] : document.flatten().items()) {
        if (path.ends_with("/$ref")) {
            const std::string target = value.get<std::string>();
            ASSERT_TRUE(target.starts_with("#/")) << target;
            EXPECT_TRUE(document.contains(OrderedJson::json_pointer(target.substr(1)))) << target;
        }
        if (path.ends_with("/operationId")) {
            EXPECT_TRUE(ids.insert(value.get<std::string>()).second) << value;
        }
    }
}

}  // namespace
}  // namespace engram
