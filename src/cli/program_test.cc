// The program as a script sees it: exit statuses, JSON, precedence of settings, standard input, completion in a real bash.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cli/exit_codes.h"
#include "cli/testing/program.h"

namespace engram::cli {
namespace {

namespace fs = std::filesystem;
using testing::Outcome;
using testing::Workplace;

class ProgramTest : public ::testing::Test {
  protected:
    Outcome run(const std::vector<std::string> &arguments, const std::string &input = "") const {
        return place_.run(arguments, input);
    }
    // The same with --json and a given status; the JSON.
    nlohmann::json json(std::vector<std::string> arguments, int status = 0) const {
        arguments.emplace_back("--json");
        const Outcome outcome = run(arguments);
        EXPECT_EQ(outcome.status, status) << outcome.err;
        return outcome.json();
    }
    void with_model() { place_.set("ENGRAM_MODEL", place_.model()); }

    Workplace place_;
};

TEST_F(ProgramTest, EveryCommandThatPrintsFactsPrintsOneJsonValue) {
    with_model();
    ASSERT_EQ(run({"agent", "create", "a", "--system", "S", "--description", "D"}).status, 0);
    for (const std::vector<std::string> &arguments :
         std::vector<std::vector<std::string>>{{"version"},
                                               {"agent", "list"},
                                               {"agent", "list", "--ids"},
                                               {"agent", "show", "a"},
                                               {"agent", "transcript", "a"},
                                               {"run", "a", "hello"},
                                               {"agent", "fork", "a", "b"},
                                               {"agent", "rename", "b", "c"},
                                               {"agent", "pin", "c"},
                                               {"agent", "unpin", "c"},
                                               {"agent", "retain", "c", "24h"},
                                               {"agent", "save", "a"},
                                               {"agent", "load", "a"},
                                               {"agent", "evict", "a"},
                                               {"agent", "export", "a", (place_.folder() / "a.export").string()},
                                               {"agent", "import", (place_.folder() / "a.export").string(), "--as", "d"},
                                               {"agent", "delete", "c"},
                                               {"store", "stat"},
                                               {"store", "verify"},
                                               {"store", "gc"},
                                               {"store", "quarantine", "list"},
                                               {"store", "quarantine", "clear"},
                                               {"model", "list"},
                                               {"doctor"},
                                               {"config", "show"},
                                               {"config", "path"},
                                               {"config", "init"},
                                               {"help"},
                                               {"help", "exit-codes"},
                                               {"help", "settings"},
                                               {"help", "agent", "create"},
                                               {"completion", "bash"}}) {
        SCOPED_TRACE(arguments[0] + " " + (arguments.size() > 1 ? arguments[1] : ""));
        EXPECT_FALSE(json(arguments).is_null());
    }
}

TEST_F(ProgramTest, ExitStatusesAreTheDocumentedOnes) {
    EXPECT_EQ(run({"agent", "create", "a"}).status, 0);
    EXPECT_EQ(run({"agent", "create", "a"}).status, 7);
    EXPECT_EQ(run({"agent", "create", "../a"}).status, 2);
    EXPECT_EQ(run({"agent", "show", "b"}).status, 3);
    EXPECT_EQ(run({"run", "a", "hello"}).status, 2) << "no model";
    EXPECT_EQ(run({"run", "a", "hello", "--model", "/nonexistent"}).status, 3);
    with_model();
    EXPECT_EQ(run({"run", "a", "please fail"}).status, 9);
    EXPECT_EQ(run({"run", "b", "hello"}).status, 3);
    EXPECT_EQ(run({"run", "a", ""}).status, 2);
    EXPECT_EQ(run({"run", "a", "\xFF"}).status, 2);
    testing::write_file(place_.folder() / "x.export", "foreign");
    EXPECT_EQ(run({"agent", "import", (place_.folder() / "x.export").string()}).status, 4);
    EXPECT_EQ(run({"agent", "import", (place_.folder() / "x.export").string(), "--recompute"}).status, 0);
    EXPECT_EQ(run({"agent", "export", "a", (place_.folder() / "x.export").string()}).status, 7) << "would overwrite";
    EXPECT_EQ(run({"help", "nonsense"}).status, 3);
    EXPECT_EQ(run({}).status, 2);
    EXPECT_EQ(run({"--help"}).status, 0);
    const std::string documented = run({"help", "exit-codes"}).out;
    for (const ExitCodeEntry &entry : exit_code_entries()) {
        EXPECT_NE(documented.find(std::string(entry.meaning)), std::string::npos);
    }
}

TEST_F(ProgramTest, ErrorsAreASentenceOnStandardErrorAndAnObjectWithJson) {
    const Outcome plain = run({"agent", "show", "nobody"});
    EXPECT_EQ(plain.out, "");
    EXPECT_TRUE(plain.err.starts_with("engram: error: there is no agent")) << plain.err;
    const Outcome outcome = run({"agent", "show", "nobody", "--json"});
    EXPECT_EQ(outcome.json()["error"]["code"], "not_found");
    EXPECT_NE(outcome.err, "");
    EXPECT_EQ(run({"--json", "nonsense"}).json()["error"]["code"], "invalid_argument");
    EXPECT_EQ(plain.err.find('\033'), std::string::npos) << "no colours in a pipe";
}

TEST_F(ProgramTest, LookingMakesNoHome) {
    for (const std::vector<std::string> &arguments : std::vector<std::vector<std::string>>{
             {"agent", "list"}, {"store", "stat"}, {"store", "verify"}, {"doctor"}, {"config", "show"}}) {
        EXPECT_EQ(run(arguments).status, 0);
        EXPECT_FALSE(fs::exists(place_.home()));
    }
    EXPECT_EQ(run({"agent", "create", "a"}).status, 0);
    struct stat status{};
    ASSERT_EQ(::stat(place_.home().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0700U);
}

TEST_F(ProgramTest, AgentsLiveFromOneProcessToTheNext) {
    with_model();
    EXPECT_EQ(run({"run", "a", "one", "--create", "--system", "Be brief."}).out, "echo: one\n");
    EXPECT_EQ(run({"run", "a", "-"}, "two\n").out, "echo: two\n");
    EXPECT_EQ(run({"run", "a"}, "three").out, "echo: three\n");
    const auto transcript = json({"agent", "transcript", "a"});
    ASSERT_EQ(transcript.size(), 7U);
    EXPECT_EQ(transcript[0]["content"], "Be brief.");
    EXPECT_EQ(transcript[6]["content"], "echo: three");
    EXPECT_EQ(json({"agent", "fork", "a", "b"})["forked_from"], "a");
    EXPECT_EQ(json({"agent", "show", "b"})["turns"], 3);
    EXPECT_EQ(run({"agent", "list", "--ids"}).out, "a\nb\n");
    EXPECT_EQ(run({"agent", "delete", "a"}).status, 0);
    EXPECT_EQ(run({"agent", "list", "--ids"}).out, "b\n");
    EXPECT_EQ(run({"agent", "list", "--ids", "--tenant", "other"}).out, "") << "another tenant sees nothing";
}

TEST_F(ProgramTest, SystemPromptsComeFromFilesToo) {
    testing::write_file(place_.folder() / "s.txt", "From a file.\n");
    ASSERT_EQ(run({"agent", "create", "a", "--system", "@" + (place_.folder() / "s.txt").string()}).status, 0);
    EXPECT_EQ(json({"agent", "show", "a"})["system_prompt"], "From a file.\n");
    EXPECT_EQ(run({"agent", "create", "b", "--system", "@/nonexistent"}).status, 3);
    ASSERT_EQ(run({"agent", "create", "c", "--system", "-"}, "Piped.\n").status, 0);
    EXPECT_EQ(json({"agent", "show", "c"})["system_prompt"], "Piped.");
}

TEST_F(ProgramTest, AgentsAreGivenToolsFromAFile) {
    const std::string file = (place_.folder() / "tools.json").string();
    testing::write_file(file, R"([ {"type": "function", "function": {"name": "get_weather"}} ])");
    EXPECT_EQ(json({"agent", "create", "a", "--tools", file})["tools"][0]["function"]["name"], "get_weather");
    EXPECT_NE(run({"agent", "show", "a"}).out.find("get_weather"), std::string::npos);
    EXPECT_EQ(json({"agent", "create", "none"})["tools"].size(), 0U);
    testing::write_file(file, R"([{"name": "get_weather"}])");
    const Outcome refused = run({"agent", "create", "b", "--tools", file});
    EXPECT_EQ(refused.status, 2);
    EXPECT_NE(refused.err.find(file + ": tool 0 is not a function tool"), std::string::npos) << refused.err;
    EXPECT_EQ(run({"agent", "create", "b", "--tools", "/nonexistent"}).status, 3);
    EXPECT_EQ(run({"agent", "list", "--ids"}).out, "a\nnone\n");
}

TEST_F(ProgramTest, WarningsGoToStandardErrorOnly) {
    with_model();
    const Outcome outcome = run({"run", "a", "warn me", "--create"});
    EXPECT_EQ(outcome.out, "echo: warn me\n");
    EXPECT_EQ(outcome.err, "engram: warning: the disk is full\n");
    EXPECT_EQ(run({"run", "a", "warn me", "--log-level", "error"}).err, "");
    EXPECT_NE(run({"run", "a", "x", "--stats"}).err.find("1 tokens"), std::string::npos);
}

TEST_F(ProgramTest, SettingsReachTheTurn) {
    with_model();
    const Outcome outcome =
        run({"run",          "a",   "settings", "--create", "--temp", "0.5", "--top-k",      "7",   "--seed",    "3",
             "--max-tokens", "9",   "--stop",   "x",        "--stop", "y",   "--logit-bias", "4=1", "--grammar", "root ::= \"g\"",
             "--role",       "tool"});
    EXPECT_EQ(outcome.out, "temp=0.5 top_k=7 seed=3 max=9 stop=2 bias=1 grammar=root ::= \"g\" role=tool\n");
    place_.set("ENGRAM_TEMP", "0.25");
    EXPECT_TRUE(run({"run", "a", "settings"}).out.starts_with("temp=0.25 ")) << "a variable works for sampling as well";
}

TEST_F(ProgramTest, ConfigShowSaysWhereEachValueCameFrom) {
    ASSERT_EQ(run({"config", "init"}).status, 0);
    EXPECT_EQ(run({"config", "init"}).status, 7) << "an edited file is never overwritten";
    auto shown = json({"config", "show"});
    EXPECT_EQ(shown["context"]["origin"], "default") << "the template changes nothing";
    const fs::path file = place_.home() / "config.toml";
    testing::write_file(file, "context = 1024\nbatch = 32\nthreads = 2\n");
    place_.set("ENGRAM_CONTEXT", "2048");
    place_.set("ENGRAM_BATCH", "64");
    shown = json({"config", "show", "--context", "4096"});
    EXPECT_EQ(shown["context"], (nlohmann::json{{"value", 4096}, {"origin", "flag"}, {"where", "--context"}}));
    EXPECT_EQ(shown["batch"], (nlohmann::json{{"value", 64}, {"origin", "environment"}, {"where", "ENGRAM_BATCH"}}));
    EXPECT_EQ(shown["threads"], (nlohmann::json{{"value", 2}, {"origin", "file"}, {"where", file.string() + ":3"}}));
    testing::write_file(file, "context = 1024\n\nnonsense = 1\n");
    const Outcome outcome = run({"agent", "list"});
    EXPECT_EQ(outcome.status, 2);
    EXPECT_NE(outcome.err.find(file.string() + ":3: there is no setting \"nonsense\""), std::string::npos) << outcome.err;
}

TEST_F(ProgramTest, TheTemplateWithEveryLineActiveIsValid) {
    ASSERT_EQ(run({"config", "init"}).status, 0);
    std::string active;
    std::string text = testing::read_file(place_.home() / "config.toml");
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        std::string line = text.substr(at, end - at);
        active += (line.starts_with('#') && !line.starts_with("# ") ? line.substr(1) : line) + "\n";
        at = end + 1;
    }
    ASSERT_NE(active.find("\ncontext = 8192\n"), std::string::npos);
    testing::write_file(place_.home() / "config.toml", active);
    auto shown = json({"config", "show"});
    for (const auto &[name, setting] : shown.items()) {
        if (name != "home" && name != "config") {
            EXPECT_EQ(setting["origin"], "file") << name;
        }
    }
}

TEST_F(ProgramTest, CorruptPartsAreFoundAndMoved) {
    ASSERT_EQ(run({"agent", "create", "a"}).status, 0);
    const fs::path folder = place_.home() / "store" / "blocks" / "ab";
    fs::create_directories(folder);
    const std::string name = "ab" + std::string(62, '0') + ".attention.safetensors";
    testing::write_file(folder / name, "not a safetensors file at all");
    EXPECT_EQ(json({"store", "stat"})["unreadable_parts"], 1);
    EXPECT_EQ(json({"doctor"}, 4)["verdict"], "bad");
    EXPECT_EQ(json({"store", "verify", "--read-only"}, 4)["corrupt"], 1);
    EXPECT_TRUE(fs::exists(folder / name));
    EXPECT_EQ(json({"store", "verify"}, 4)["corrupt"], 1);
    EXPECT_FALSE(fs::exists(folder / name));
    EXPECT_EQ(json({"store", "verify"})["corrupt"], 0);
    EXPECT_EQ(json({"store", "quarantine", "list"}).size(), 1U);
    EXPECT_EQ(json({"store", "quarantine", "clear"})["removed_files"], 1);
    EXPECT_EQ(json({"store", "quarantine", "list"}).size(), 0U);
}

TEST_F(ProgramTest, GarbageCollectionRemovesUnclaimedParts) {
    ASSERT_EQ(run({"agent", "create", "a"}).status, 0);
    const fs::path folder = place_.home() / "store" / "blocks" / "cd";
    fs::create_directories(folder);
    const fs::path part = folder / ("cd" + std::string(62, '1') + ".attention.safetensors");
    testing::write_file(part, std::string(1000, 'x'));
    EXPECT_EQ(json({"store", "stat"})["unclaimed"]["bytes"], 1000);
    EXPECT_EQ(json({"store", "gc"}),
              (nlohmann::json{{"removed_parts", 1}, {"removed_bytes", 1000}, {"removed_temporary_files", 0}}));
    EXPECT_FALSE(fs::exists(part));
}

TEST_F(ProgramTest, SyntheticModelsAreWrittenAndDescribed) {
    const std::string file = (place_.folder() / "tiny.gguf").string();
    EXPECT_EQ(json({"model", "synth", "--geometry", "tiny-gemma3", file})["geometry"], "tiny-gemma3");
    EXPECT_EQ(run({"model", "synth", "--geometry", "tiny-gemma3", file}).status, 7);
    EXPECT_EQ(run({"model", "synth", "--geometry", "tiny-gemma3", file, "--force"}).status, 0);
    EXPECT_EQ(run({"model", "synth", "--geometry", "huge", file, "--force"}).status, 2);
    const auto info = json({"model", "info", file});
    EXPECT_EQ(info["architecture"], "gemma3");
    EXPECT_EQ(info["memory_class"], "window");
    EXPECT_EQ(info["window"], 32);
    EXPECT_EQ(info["content_hash"].get<std::string>().size(), 64U);
    EXPECT_EQ(run({"model", "info", "/nonexistent.gguf"}).status, 3);
    EXPECT_EQ(run({"model", "info"}).status, 2);
}

TEST_F(ProgramTest, ChatThroughAPipeHasNoPromptsAndNoEscapes) {
    with_model();
    EXPECT_EQ(run({"chat", "a"}, "hi\n").status, 3) << "the agent isn't there";
    const Outcome outcome = run({"chat", "a", "--create"}, "hello\n\n//slash\n/quit\nnever said\n");
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.out, "echo: hello\necho: /slash\n");
    EXPECT_EQ(outcome.err, "");
    const Outcome failing = run({"chat", "a"}, "hello\nfail\nnever said\n");
    EXPECT_EQ(failing.status, 9);
    EXPECT_EQ(failing.out, "echo: hello\n");
    const Outcome lines = run({"chat", "a", "--json"}, "x\n/info\n");
    EXPECT_EQ(nlohmann::json::parse(lines.out.substr(0, lines.out.find('\n')))["answer"], "echo: x");
    EXPECT_EQ(nlohmann::json::parse(lines.out.substr(lines.out.find('\n')))["id"], "a");
    EXPECT_EQ(run({"chat", "a"}, "/fork\n").status, 2) << "a name is missing";
    EXPECT_EQ(run({"chat", "a"}, "/fork b\n/nonsense\n").status, 2);
    EXPECT_EQ(run({"agent", "show", "b"}).status, 0);
}

TEST_F(ProgramTest, CompletionWorksInBash) {
    const fs::path bin = place_.folder() / "bin";
    fs::create_directories(bin);
    fs::create_symlink(testing::program(), bin / "engram");
    ASSERT_EQ(run({"agent", "create", "analyst"}).status, 0);
    testing::write_file(place_.folder() / "completion.bash", run({"completion", "bash"}).out);
    auto complete = [&](const std::string &words, int index) {
        const std::string script = "PATH=" + bin.string() + ":$PATH ENGRAM_HOME=" + place_.home().string() +
                                   " bash --norc -c 'source " + (place_.folder() / "completion.bash").string() +
                                   " && COMP_WORDS=(" + words + ") COMP_CWORD=" + std::to_string(index) +
                                   " && _engram && printf \"%s \" \"${COMPREPLY[@]}\"'";
        std::unique_ptr<FILE, int (*)(FILE *)> pipe(::popen(script.c_str(), "r"), &::pclose);
        std::string text(65536, '\0');
        text.resize(std::fread(text.data(), 1, text.size(), pipe.get()));
        return text;
    };
    EXPECT_EQ(complete("engram ag", 1), "agent ");
    EXPECT_NE(complete("engram agent \"\"", 2).find("create list show transcript"), std::string::npos);
    EXPECT_EQ(complete("engram store quarantine cl", 3), "clear ");
    EXPECT_EQ(complete("engram --tenant default agent show an", 5), "analyst ") << "ids are asked for";
    EXPECT_EQ(complete("engram run --temp", 2), "--temp ");
    EXPECT_EQ(complete("engram agent list --temp", 3), " ") << "sampling flags belong to run and chat";
    EXPECT_EQ(complete("engram --log-level \"\"", 2), " ") << "a value is no command";
}

TEST_F(ProgramTest, CompletionScriptsNameEveryCommand) {
    for (const char *shell : {"bash", "zsh", "fish"}) {
        const std::string script = run({"completion", shell}).out;
        for (const char *word : {"transcript", "quarantine", "synth", "--block-tokens", "--logit-bias"}) {
            const std::string searched = std::string(shell) == "fish" && word[0] == '-' ? std::string("-l ") + (word + 2) : word;
            EXPECT_NE(script.find(searched), std::string::npos) << shell << " " << word;
        }
    }
}

}  // namespace
}  // namespace engram::cli
