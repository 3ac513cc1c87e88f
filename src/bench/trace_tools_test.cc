#include "bench/trace_tools.h"

#include <gtest/gtest.h>

#include "chat/message_identity.h"

namespace engram::bench {
namespace {

OrderedJson all_tools() { return trace_tools(std::vector<std::string>(kMostTraceTools, "More of it.")); }

TEST(TraceTools, StandInTheOrderOfTheirNames) {
    const OrderedJson tools = all_tools();
    ASSERT_EQ(tools.size(), kMostTraceTools);
    EXPECT_EQ(ordered_tools(tools.dump()), tools.dump()) << "so that nobody has to put them in order";
    EXPECT_EQ(tools[0]["function"]["description"], "Changes files by a patch. More of it.");
}

TEST(TraceCall, IsAnAssistantsMessageAndTheToolsAnswer) {
    const OrderedJson tools = all_tools();
    const OrderedJson messages = trace_call(tools, 3, "It was found.");
    ASSERT_EQ(messages.size(), 2U);
    EXPECT_EQ(messages[0]["role"], "assistant");
    const OrderedJson &call = messages[0]["tool_calls"][0];
    EXPECT_EQ(call["function"]["arguments"], R"({"path":"src/part_3.cc","limit":43,"reason":"step 3 of the plan"})");
    EXPECT_EQ(messages[1]["role"], "tool");
    EXPECT_EQ(messages[1]["tool_call_id"], call["id"]);
    EXPECT_EQ(messages[1]["content"], "It was found.");
}

TEST(TraceCall, IsWrittenAnewWithItsArgumentsInAnotherOrder) {
    OrderedJson messages = trace_call(all_tools(), 3, "It was found.");
    const OrderedJson before = messages;
    write_calls_anew(messages);
    const OrderedJson &arguments = messages[0]["tool_calls"][0]["function"]["arguments"];
    EXPECT_EQ(arguments, R"({"limit":43,"path":"src/part_3.cc","reason":"step 3 of the plan"})");
    EXPECT_EQ(canonical_json(arguments.get<std::string>()),
              canonical_json(before[0]["tool_calls"][0]["function"]["arguments"].get<std::string>()));
    EXPECT_EQ(messages[1], before[1]);
    const OrderedJson once = messages;
    write_calls_anew(messages);
    EXPECT_EQ(messages, once) << "later requests are as the one before";
}

}  // namespace
}  // namespace engram::bench
