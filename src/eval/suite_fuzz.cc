// Fuzz entry of the suite's reader and of scoring: any bytes give a suite or an error, and every score is from 0 to 1. Linked to
// a fuzzer, or driven by suite_test.cc.
#include <cstdint>
#include <cstdlib>

#include "eval/score.h"
#include "eval/suite.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    using namespace engram;
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    const auto suite = eval::parse_suite(text);
    if (!suite) return 0;
    for (const eval::Conversation &conversation : suite->conversations) {
        for (const eval::Question &question : conversation.questions) {
            const double score = eval::score(question.expect, eval::answer_of(std::string(text)));
            if (!(score >= 0 && score <= 1)) std::abort();
        }
    }
    return 0;
}
