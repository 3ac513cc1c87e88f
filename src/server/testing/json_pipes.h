// For fixtures: a program that speaks JSON in lines on its standard input and output, with a pipe for each.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <utility>

#include "chat/bounded_json.h"

namespace engram::testing {

class JsonPipes {
  protected:
    JsonPipes() {
        ::signal(SIGPIPE, SIG_IGN);
        EXPECT_EQ(::pipe(in_), 0);
        EXPECT_EQ(::pipe(out_), 0);
    }
    ~JsonPipes() {
        for (const int fd : {in_[0], in_[1], out_[0], out_[1]}) {
            if (fd >= 0) ::close(fd);
        }
    }
    JsonPipes(const JsonPipes &) = delete;
    JsonPipes &operator=(const JsonPipes &) = delete;

    void say(const std::string &text) { ASSERT_EQ(::write(in_[1], text.data(), text.size()), static_cast<ssize_t>(text.size())); }
    void say(const OrderedJson &message) { say(message.dump() + "\n"); }
    void end_input() { ::close(std::exchange(in_[1], -1)); }
    // Waits for the next line; null when there comes none.
    OrderedJson hear() {
        while (heard_.find('\n') == std::string::npos) {
            char piece[4096];
            const ssize_t n = ::read(out_[0], piece, sizeof piece);
            if (n <= 0) return {};
            heard_.append(piece, static_cast<std::size_t>(n));
        }
        const std::size_t end = heard_.find('\n');
        OrderedJson message = OrderedJson::parse(heard_.substr(0, end), nullptr, false);
        heard_.erase(0, end + 1);
        return message;
    }
    // Of JSON-RPC 2.0.
    static OrderedJson request(int id, const std::string &method, OrderedJson params = OrderedJson::object()) {
        return {{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}};
    }

    int in_[2] = {-1, -1}, out_[2] = {-1, -1};  // the program has in_[0] and out_[1]

  private:
    std::string heard_;
};

}  // namespace engram::testing
