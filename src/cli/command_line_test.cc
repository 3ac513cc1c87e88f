#include "cli/command_line.h"

#include <gtest/gtest.h>
#include <cstdlib>

namespace engram::cli {
namespace {

// Runs one command called "probe" and says what it saw.
struct Probe {
    std::string positional;
    std::vector<std::string> stop;
    std::int64_t context = 0;
    bool called = false;
    int status = -1;

    explicit Probe(std::vector<const char *> arguments) {
        CommandLine line;
        CLI::App &app = line.command("probe", "a test", [this](Context &given) -> Result<ExitCode> {
            called = true;
            stop = given.settings.texts("stop");
            context = given.settings.whole("context");
            return ExitCode::locked;
        });
        app.add_option("TEXT", positional, "any text");
        line.add_sampling_flags(app);
        line.command("other", "another", [](Context &) -> Result<ExitCode> { return fail(ErrorCode::over_budget, "too much"); });
        arguments.insert(arguments.begin(), {"engram", "--home", "/nonexistent/engram-home"});
        status = line.run(static_cast<int>(arguments.size()), arguments.data());
    }
};

TEST(CommandLine, ReturnsTheHandlersStatus) {
    EXPECT_EQ(Probe({"probe"}).status, 5);
    EXPECT_EQ(Probe({"other"}).status, 6);
}

TEST(CommandLine, SettingsFlagsAreValidBeforeAndBehindTheCommand) {
    EXPECT_EQ(Probe({"--context", "128", "probe"}).context, 128);
    EXPECT_EQ(Probe({"probe", "--context=256"}).context, 256);
    EXPECT_EQ(Probe({"--context", "128", "probe", "x", "--context", "512"}).context, 512) << "the last one counts";
}

TEST(CommandLine, ListsTakeOneValueForEachFlag) {
    const Probe probe({"probe", "--stop", "a", "text", "--stop", "[x,y]"});
    EXPECT_EQ(probe.stop, (std::vector<std::string>{"a", "[x,y]"}));
    EXPECT_EQ(probe.positional, "text");
}

TEST(CommandLine, TextsThatLookLikeCommandsOrNumbersAreTexts) {
    EXPECT_EQ(Probe({"probe", "other"}).positional, "other");
    EXPECT_EQ(Probe({"probe", "-"}).positional, "-");
    EXPECT_EQ(Probe({"probe", "--", "--context"}).positional, "--context");
    EXPECT_EQ(Probe({"probe", "[a,b]"}).positional, "[a,b]");
}

TEST(CommandLine, MistakesAreUsageErrors) {
    for (const auto &arguments : std::vector<std::vector<const char *>>{{},
                                                                        {"nonsense"},
                                                                        {"probe", "--nonsense"},
                                                                        {"probe", "a", "b"},
                                                                        {"probe", "--context"},
                                                                        {"probe", "--context", "x"},
                                                                        {"probe", "--temp", "-1"},
                                                                        {"other", "--temp", "1"}}) {
        const Probe probe(arguments);
        EXPECT_EQ(probe.status, 2) << (arguments.empty() ? "" : arguments.back());
        EXPECT_FALSE(probe.called);
    }
}

TEST(ExitCodes, EveryErrorHasADocumentedStatus) {
    for (int code = 0; code <= static_cast<int>(ErrorCode::internal); ++code) {
        const ExitCode status = exit_code_of(static_cast<ErrorCode>(code));
        EXPECT_NE(status, ExitCode::ok);
        EXPECT_TRUE(std::ranges::contains(exit_code_entries(), status, &ExitCodeEntry::code));
    }
}

}  // namespace
}  // namespace engram::cli
