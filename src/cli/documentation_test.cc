// docs/CLI.md says what the program does: every command, setting and exit status stands in it.
#include <gtest/gtest.h>
#include <format>
#include <sstream>

#include "cli/exit_codes.h"
#include "cli/testing/program.h"
#include "config/settings.h"

namespace engram::cli {
namespace {

class DocumentationTest : public ::testing::Test {
  protected:
    void SetUp() override { ASSERT_FALSE(page_.empty()) << ENGRAM_CLI_PAGE; }
    bool says(const std::string &text) const { return page_.find(text) != std::string::npos; }

    const std::string page_ = testing::read_file(ENGRAM_CLI_PAGE);
};

TEST_F(DocumentationTest, NamesEveryCommand) {
    const testing::Workplace place;
    std::istringstream script(place.run({"completion", "fish"}).out);
    std::size_t commands = 0;
    for (std::string line; std::getline(script, line);) {
        const std::string before = "complete -c engram -n '__engram_at ";
        const std::size_t quote = line.find('\'', before.size());
        const std::size_t word = line.find(" -a ", quote);
        if (!line.starts_with(before) || word != quote + 1 || line[word + 4] == '\'') {
            continue;
        }
        const std::string name = line.substr(word + 4, line.find(' ', word + 4) - word - 4);
        const std::string command = std::format("`{} {}", line.substr(before.size(), quote - before.size()), name);
        ++commands;
        EXPECT_TRUE(says(command)) << command;
    }
    EXPECT_GT(commands, 30U) << "the script looks different than this test expects";
}

TEST_F(DocumentationTest, NamesEverySettingWithVariableAndDefault) {
    for (const SettingSpec &spec : setting_specs()) {
        const std::string shown = spec.default_text.empty() ? "" : std::format("`{}`", spec.default_text);
        const std::string row =
            std::format("| `--{} {}` | `{}` | {} | {} |", spec.name, spec.value_name, environment_name(spec), shown, spec.help);
        EXPECT_TRUE(says(row)) << row;
    }
}

TEST_F(DocumentationTest, NamesEveryExitStatus) {
    for (const ExitCodeEntry &entry : exit_code_entries()) {
        const std::string row = std::format("| {} | {} |", static_cast<int>(entry.code), entry.meaning);
        EXPECT_TRUE(says(row)) << row;
    }
}

}  // namespace
}  // namespace engram::cli
