// What must happen once in a process before libllama is used, and what is made of its log: why something failed, and that it has
// allocated a buffer, which then gets huge pages (huge_pages.h).
#pragma once

#include <string>

namespace engram {

// Loads ggml's backends (the CPU's one is found at run time as well) and takes over the log. Any number of calls, from any
// thread; every entry to the engine makes one. libllama is then silent, unless ENGRAM_ENGINE_LOG=1 sends all that it says to
// stderr.
void initialise_engine();

// The last error lines that libllama and ggml logged since the previous call (at most three, joined by "; "), empty when there
// were none. Any thread; the lines are the process's, so an error of another thread's call may be among them.
std::string last_engine_error();

}  // namespace engram
