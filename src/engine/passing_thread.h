// Work for libllama that isn't the engine thread's.
//
// Whatever thread computes with ggml keeps a team of OpenMP threads, also one that only loads a model: on processors with AMX the
// weights are rearranged by all threads. When there are more of these than processors, all wait in the kernel at each barrier
// instead of spinning, and a step takes twice as long. A thread that ends takes its team along, so that none is left but that of
// the thread which computes from then on.
#pragma once

#include <future>
#include <utility>

namespace engram {

// What `work` returns or throws. The caller waits.
template <typename Work>
auto on_passing_thread(Work &&work) {
    return std::async(std::launch::async, std::forward<Work>(work)).get();
}

}  // namespace engram
