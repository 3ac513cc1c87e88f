// Runs the tested program as a user does: with arguments, variables, standard input, in a pipe or on a terminal.
#pragma once

#include <sys/types.h>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace engram::cli::testing {

struct Outcome {
    int status = -1;  // exit status, or 128 + the signal that ended it
    std::string out, err;
    nlohmann::json json() const;  // standard output; fails the test when it isn't one JSON value
};

// A home folder and an environment of its own, removed with everything in it at the end.
class Workplace {
  public:
    Workplace();
    ~Workplace();
    Workplace(const Workplace &) = delete;
    Workplace &operator=(const Workplace &) = delete;

    std::filesystem::path home() const { return folder_ / "home"; }
    std::filesystem::path folder() const { return folder_; }
    std::string model() const;  // a file that the fake manager takes for a model
    void set(const std::string &variable, const std::string &value) { variables_[variable] = value; }
    void unset(const std::string &variable) { variables_.erase(variable); }

    Outcome run(const std::vector<std::string> &arguments, const std::string &input = "") const;
    std::vector<std::string> environment() const;

  private:
    std::filesystem::path folder_;
    std::map<std::string, std::string> variables_;
};

// The program on a pseudo-terminal.
class Terminal {
  public:
    Terminal(const Workplace &workplace, const std::vector<std::string> &arguments);
    ~Terminal();
    Terminal(const Terminal &) = delete;
    Terminal &operator=(const Terminal &) = delete;

    void type(const std::string &keys);
    // Reads until `text` has appeared since the last call that found something; false after ten seconds or at the end of output.
    bool expect(const std::string &text);
    int wait();  // exit status as in Outcome
    void signal(int number) const;
    const std::string &screen() const { return screen_; }  // everything so far

  private:
    pid_t child_ = -1;
    int fd_ = -1;
    std::string screen_;
    std::size_t seen_ = 0;
};

// The path of the program under test.
std::string program();
std::string read_file(const std::filesystem::path &path);
void write_file(const std::filesystem::path &path, const std::string &text);

}  // namespace engram::cli::testing
