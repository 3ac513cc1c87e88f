// Ctrl-C as a stop token.
//
// While an InterruptScope lives, SIGINT (and SIGTERM, where it is asked for) doesn't end the program: the handler writes one byte
// to a pipe (all that a handler may do), and a thread of the scope's requests stop. With Again::exit a second Ctrl-C ends the
// program at once with status 130, which is safe at any moment, since turns are committed atomically. The destructor restores the
// handler that was there before. At most one scope lives at a time.
#pragma once

#include <csignal>
#include <stop_token>
#include <thread>

namespace engram::cli {

class InterruptScope {
  public:
    enum class Again : std::uint8_t { ignore, exit };
    enum class Signals : std::uint8_t { interrupt, interrupt_and_terminate };
    explicit InterruptScope(Again again, Signals signals = Signals::interrupt);
    ~InterruptScope();
    InterruptScope(const InterruptScope &) = delete;
    InterruptScope &operator=(const InterruptScope &) = delete;

    std::stop_token token() const { return source_.get_token(); }
    bool interrupted() const { return source_.stop_requested(); }
    void wait() const;  // until there was one

  private:
    void watch(Again again);

    std::stop_source source_;
    int pipe_[2] = {-1, -1};
    const Signals signals_;
    struct sigaction previous_{}, previous_terminate_{};
    std::thread watcher_;
};

}  // namespace engram::cli
