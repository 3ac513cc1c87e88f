// The program on a terminal: line editing, Ctrl-C, colours, signals.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <csignal>

#include "cli/testing/program.h"

namespace engram::cli {
namespace {

using testing::Terminal;
using testing::Workplace;

class TerminalTest : public ::testing::Test {
  protected:
    void SetUp() override { place_.set("ENGRAM_MODEL", place_.model()); }
    Workplace place_;
};

constexpr const char *kCtrlC = "\x03";
constexpr const char *kCtrlD = "\x04";

TEST_F(TerminalTest, CtrlCStopsTheAnswerAndNotTheProgram) {
    Terminal terminal(place_, {"chat", "a", "--create"});
    ASSERT_TRUE(terminal.expect("a> ")) << terminal.screen();
    terminal.type("slow one\r");
    ASSERT_TRUE(terminal.expect("word word")) << terminal.screen();
    terminal.type(kCtrlC);
    ASSERT_TRUE(terminal.expect("[stopped]")) << terminal.screen();
    ASSERT_TRUE(terminal.expect("a> ")) << terminal.screen();
    terminal.type("slow again\r");
    ASSERT_TRUE(terminal.expect("word word")) << terminal.screen();
    terminal.type(kCtrlC);
    ASSERT_TRUE(terminal.expect("[stopped]")) << terminal.screen();
    ASSERT_TRUE(terminal.expect("a> ")) << terminal.screen();
    terminal.type(kCtrlC);  // at the prompt: an empty line
    ASSERT_TRUE(terminal.expect("\n")) << terminal.screen();
    ASSERT_TRUE(terminal.expect("a> ")) << terminal.screen();
    terminal.type("still here\r");
    ASSERT_TRUE(terminal.expect("echo: still here")) << terminal.screen();
    ASSERT_TRUE(terminal.expect("a> ")) << terminal.screen();
    terminal.type(kCtrlD);
    EXPECT_EQ(terminal.wait(), 0);
    const std::string transcript = place_.run({"agent", "transcript", "a"}).out;
    EXPECT_NE(transcript.find("slow one"), std::string::npos) << "what was said before the stop is kept";
}

TEST_F(TerminalTest, CommandsAndHistory) {
    {
        Terminal terminal(place_, {"chat", "a", "--create"});
        ASSERT_TRUE(terminal.expect("a> "));
        terminal.type("remember me\r");
        ASSERT_TRUE(terminal.expect("echo: remember me"));
        ASSERT_TRUE(terminal.expect("a> "));
        terminal.type("/nonsense\r");
        ASSERT_TRUE(terminal.expect("there is no command /nonsense")) << "a mistake doesn't end the conversation";
        ASSERT_TRUE(terminal.expect("a> "));
        terminal.type("/fork b\r");
        ASSERT_TRUE(terminal.expect("forked a to b"));
        ASSERT_TRUE(terminal.expect("a> "));
        terminal.type("/quit\r");
        EXPECT_EQ(terminal.wait(), 0);
    }
    struct stat status{};
    ASSERT_EQ(::stat((place_.home() / "history").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    Terminal terminal(place_, {"chat", "a"});
    ASSERT_TRUE(terminal.expect("a> "));
    terminal.type("\033[A\033[A\033[A\033[A");  // up, up to the first line of the last conversation
    ASSERT_TRUE(terminal.expect("remember me")) << terminal.screen();
}

TEST_F(TerminalTest, TerminationSignalsAreNotSwallowedByTheLineEditor) {
    for (int number : {SIGTERM, SIGHUP}) {
        Terminal terminal(place_, {"chat", "a", "--create"});
        ASSERT_TRUE(terminal.expect("a> "));
        terminal.signal(number);
        EXPECT_EQ(terminal.wait(), 128 + number);
    }
}

TEST_F(TerminalTest, CtrlCEndsARunWithStatus130) {
    Terminal terminal(place_, {"run", "a", "slow", "--create"});
    ASSERT_TRUE(terminal.expect("word word"));
    terminal.type(kCtrlC);
    EXPECT_EQ(terminal.wait(), 130);
}

TEST_F(TerminalTest, AModelCanNotSendEscapeSequences) {
    Terminal terminal(place_, {"run", "a", "ctrl", "--create"});
    EXPECT_EQ(terminal.wait(), 0);
    EXPECT_NE(terminal.screen().find("a[31mb"), std::string::npos) << terminal.screen();
    EXPECT_EQ(terminal.screen().find('\a'), std::string::npos);
}

TEST_F(TerminalTest, ColoursCanBeTurnedOff) {
    {
        Terminal terminal(place_, {"agent", "show", "nobody"});
        terminal.wait();
        EXPECT_NE(terminal.screen().find("\033[31merror:"), std::string::npos) << terminal.screen();
    }
    place_.set("NO_COLOR", "1");
    Terminal terminal(place_, {"agent", "show", "nobody"});
    terminal.wait();
    EXPECT_EQ(terminal.screen().find('\033'), std::string::npos) << terminal.screen();
}

TEST_F(TerminalTest, OneProcessAtATimeChangesAHome) {
    Terminal terminal(place_, {"chat", "a", "--create"});
    ASSERT_TRUE(terminal.expect("a> "));
    EXPECT_EQ(place_.run({"agent", "create", "b"}).status, 5);
    EXPECT_EQ(place_.run({"run", "a", "hello"}).status, 5);
    EXPECT_EQ(place_.run({"store", "gc"}).status, 5);
    EXPECT_EQ(place_.run({"agent", "list", "--ids"}).out, "a\n") << "looking is always possible";
    EXPECT_EQ(place_.run({"store", "stat"}).status, 0);
}

}  // namespace
}  // namespace engram::cli
