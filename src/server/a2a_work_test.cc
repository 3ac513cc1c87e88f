#include "server/a2a_work.h"

#include <gtest/gtest.h>

namespace engram::server {
namespace {

using namespace protocol::a2a;
using protocol::a2a::Message;

Message of(std::vector<Part> parts) { return {.id = "m", .parts = std::move(parts)}; }

TEST(A2aWork, TheModelReadsTextDataAndFilesOfText) {
    const auto text = text_of(
        of({{.content = "Look:"},
            {.kind = Part::Kind::data, .content = R"({"a":1})"},
            {.kind = Part::Kind::raw, .content = "VENL", .filename = "o.txt", .media_type = "Text/Plain; charset=utf-8"}}));
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(*text, "Look:\n\n```json\n{\"a\":1}\n```\n\nFile o.txt:\n```\nTCK\n```");
    for (const Part &part :
         {Part{.kind = Part::Kind::url, .content = "https://example.com"}, Part{.kind = Part::Kind::raw, .content = "VENL"},
          Part{.kind = Part::Kind::raw, .content = "VENL", .media_type = "image/png"}}) {
        const auto refused = text_of(of({part}));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, A2aErrorKind::content_type_not_supported);
    }
    EXPECT_EQ(text_of(of({{.kind = Part::Kind::raw, .content = "?", .media_type = "text/x"}})).error().kind,
              A2aErrorKind::invalid_params);
}

TEST(A2aWork, TheAnswersFormIsWhatTheClientTakes) {
    EXPECT_EQ(format_of({}), AnswerFormat::text);
    EXPECT_EQ(format_of({"application/json", "text/plain"}), AnswerFormat::text);
    EXPECT_EQ(format_of({"text/*"}), AnswerFormat::text);
    EXPECT_EQ(format_of({"Application/JSON"}), AnswerFormat::json_object);
    EXPECT_FALSE(format_of({"image/png"}));
    EXPECT_EQ(answer_artifact(R"({"a":1})", AnswerFormat::json_object).parts[0].kind, Part::Kind::data);
    EXPECT_EQ(answer_artifact(R"({"a":)", AnswerFormat::json_object).parts[0].kind, Part::Kind::text) << "cut off";
}

TEST(A2aWork, AnApprovalIsAWordOrData) {
    const std::string pending =
        pending_text({{.id = "c1", .name = "erase", .arguments = "{}"}, {.id = "c2", .name = "x", .arguments = "{}"}});
    using Approvals = std::map<std::string, bool>;
    EXPECT_EQ(approvals_in(of({{.content = " Yes! "}}), pending), (Approvals{{"c1", true}, {"c2", true}}));
    EXPECT_EQ(approvals_in(of({{.content = "deny"}}), pending), (Approvals{{"c1", false}, {"c2", false}}));
    EXPECT_EQ(approvals_in(of({{.kind = Part::Kind::data, .content = R"({"approvals":{"c2":true}})"}}), pending),
              (Approvals{{"c2", true}}));
    for (const char *text : {"", "perhaps", "yes and no", "yesterday"}) {
        EXPECT_EQ(approvals_in(of({{.content = text}}), pending), std::nullopt) << text;
    }
    for (const char *data : {"{}", "[]", R"({"approvals":{"c1":1}})", R"({"approvals":[]})"}) {
        EXPECT_EQ(approvals_in(of({{.kind = Part::Kind::data, .content = data}}), pending), std::nullopt) << data;
    }
    EXPECT_TRUE(pending_text({}).empty());
    const std::string below = pending_text({{.id = "pilot/clerk/c1", .name = "erase", .arguments = "{}"}});
    EXPECT_TRUE(below.contains(R"("agent":"clerk")")) << below;
    EXPECT_EQ(approvals_in(of({{.content = "no"}}), below), (Approvals{{"pilot/clerk/c1", false}}));
    EXPECT_EQ(approvals_in(of({{.kind = Part::Kind::data, .content = R"({"approvals":{"c1":true}})"}}), below), std::nullopt)
        << "nothing of that id waits";
    EXPECT_EQ(question({{.id = "c1", .name = "erase", .arguments = "{}"}}).parts.size(), 2U);
}

}  // namespace
}  // namespace engram::server
