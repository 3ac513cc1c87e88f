// The two servers that are compared, behind one interface: Engram's own, and llama-server in its strongest configuration.
//
// Both are asked over HTTP on 127.0.0.1, as clients do, with streams; all times are the client's. A conversation's turns say the
// same to both. What the peer needs a clever client for is done for it, and what that costs at the server is counted: prompts go
// as exact token ids (so that no answer is read again because its text has other tokens), slots are saved before they are left,
// and a restore belongs to the time to the first token. What a client does without a server (templates, tokenising) isn't.
//
// Threads: turns of different conversations may run at the same time; everything else one at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/client.h"
#include "bench/page_cache.h"
#include "bench/process.h"
#include "engram/error.h"

namespace engram::bench {

struct SideOptions {
    std::string program;           // engram's or the peer's; a path, or a name that PATH knows
    std::filesystem::path model;   // a GGUF file
    std::filesystem::path folder;  // of this side alone
    std::uint32_t context_tokens = 4096;
    std::uint32_t slots = 1;  // conversations that compute at the same time
    std::int32_t threads = 0;
    std::string kv_type = "f16";
    std::uint32_t waiting = 256;         // requests that may wait
    std::vector<std::string> more = {};  // further flags
    std::string label = {};              // the peer's name where there are several of it; empty: llama-server
    // The peer gets huge pages, which Engram asks for itself. Not where memory itself is measured: its small pieces would take
    // more.
    bool huge_pages = true;
    bool examined = false;  // answers are compared: they say what they answer, and the peer's what else was likely
};

// An agent keeps its place in a slot of its own only so: by default the peer moves idle slots to host memory, and doesn't bring
// them back for a request that names its slot.
inline const std::vector<std::string> kSlotsStay{"--no-cache-idle-slots"};
// The same with cells of each slot's own, which others' steps don't look at; each has its share of the context, and no more.
inline const std::vector<std::string> kOwnStreams{"--no-cache-idle-slots", "--no-kv-unified"};
inline constexpr std::string_view kPeerOwnStreams = "llama-server, own streams";

enum class Memory : std::uint8_t {
    context,  // where it was computed
    host,     // taken to host memory; the peer does that when another prompt takes its slot
    disk,     // in files only
};

// One side's view of a conversation.
struct Conversation {
    std::string name;                          // a file's name as well
    std::string system;                        // empty: none
    OrderedJson tools = OrderedJson::array();  // that each request has; none when empty
    OrderedJson said = OrderedJson::array();   // messages after the system's, answers among them, as the client sends them
    std::unique_ptr<Client> client = {};       // its connection
    // Engram:
    std::string agent = {};
    bool reports = false;  // asks for a report: the head of an answer that had to wait is sent before it is known whose it is
    // The peer:
    std::vector<std::int32_t> tokens = {};  // of all that was read and said
    std::optional<int> slot = {};           // none: the server chooses
    bool in_file = false;                   // its slot was saved, and has to be restored before the next turn
};

// A token of an answer, and what stood against it.
struct TokenOdds {
    struct Choice {
        std::string piece;  // its bytes; empty: it is no text, as the end of the turn
        double logprob = 0;
    };
    Choice said;
    std::vector<Choice> others = {};  // the most probable ones; what was said may be among them
};

struct Answer {
    double ttft_ms = 0;            // from the request, or the restore in front of it, to the first text
    std::vector<double> token_ms;  // when each piece of text came, from the same start
    double total_ms = 0;
    double restore_ms = 0;  // of that: the peer's restore call; as Engram's answer tells
    std::uint64_t prompt_tokens = 0, cached_tokens = 0, answer_tokens = 0;
    std::string tier;  // Engram: where reused tokens came from
    std::string text;
    // Where answers are compared:
    std::string asked = {};              // all messages up to this answer but the system's, and earlier answers among them
    std::vector<TokenOdds> tokens = {};  // the peer only

    std::vector<double> gaps_ms() const;  // between pieces
};

struct Saved {
    double ms = 0;            // until all of it is in files
    std::uint64_t bytes = 0;  // that were written since the last save; by the peer: for this one
};

class Side {
  public:
    explicit Side(SideOptions options) : options_(std::move(options)) {}
    virtual ~Side() = default;
    Side(const Side &) = delete;
    Side &operator=(const Side &) = delete;

    virtual std::string_view name() const = 0;
    // Starts the server and waits until it answers. The port stays the same from start to start.
    Result<void> start();
    void stop();  // in order: what the server keeps is kept
    void kill();
    Result<void> restart_with(std::vector<std::string> flags);  // these instead of SideOptions::more
    Process &process() { return *process_; }
    Client &client() { return *client_; }
    const std::string &url() const { return url_; }
    const SideOptions &options() const { return options_; }
    virtual OrderedJson configuration() const;  // as records have it: no path in it

    Result<Conversation> converse(std::string name, std::string system = {}) const;
    // The client adds these messages, and asks for an answer to all of them.
    virtual Result<Answer> say(Conversation &conversation, const OrderedJson &added, std::uint32_t max_tokens) = 0;
    Result<Answer> turn(Conversation &conversation, const std::string &user, std::uint32_t max_tokens);  // one of the user's
    virtual Result<std::uint64_t> count_tokens(const std::string &text) = 0;
    // Everything that the conversation has so far goes there, and leaves the context; `disk`: after it was saved.
    virtual Result<void> move(Conversation &conversation, Memory to) = 0;
    virtual Result<Saved> save(Conversation &conversation) = 0;
    // Before the server is stopped and after it was started again: the next turn goes on from files.
    virtual Result<void> leave(Conversation &conversation) = 0;
    virtual Result<void> forget(Conversation &conversation) = 0;
    // The peer only, before it is started: from now on it is asked as any client asks, with messages, and nothing is done for it.
    virtual void ask_plainly() {}
    // Files of the side: bytes, and dropped from the page cache; how much of them stayed there.
    std::uint64_t disk_bytes() const;
    CachedPages drop_page_cache() const { return drop_folder_from_page_cache(memory_folder()); }
    virtual std::filesystem::path memory_folder() const = 0;

  protected:
    virtual std::vector<std::string> command(std::uint16_t port) const = 0;
    virtual std::string health_path() const = 0;
    Result<void> wait_until_ready();
    // A turn by OpenAI's chat completions; the reply's headers are left in `head`.
    Result<Answer> chat_turn(Conversation &conversation, const OrderedJson &added, std::uint32_t max_tokens,
                             http::FetchReply &head);
    // What was said now belongs to the conversation.
    void remember(Conversation &conversation, const OrderedJson &added, Answer &answer) const;

    SideOptions options_;
    std::string url_;
    std::uint16_t port_ = 0;
    std::optional<Process> process_;
    std::unique_ptr<Client> client_;
};

std::unique_ptr<Side> engram_side(SideOptions options);
std::unique_ptr<Side> peer_side(SideOptions options);

OrderedJson user_message(const std::string &text);
// All that was said, and what is added now, as clients send it.
OrderedJson all_messages(const Conversation &conversation, const OrderedJson &added);
OrderedJson messages_json(const Conversation &conversation, const std::string &user);  // the user's text added

}  // namespace engram::bench
