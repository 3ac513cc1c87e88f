// A loaded model: weights, vocabulary, adapters, and the fingerprint of everything that makes KV interchangeable.
//
// Threads: immutable after load; tokenise, detokenise and the getters may be called from any thread. The context
// (engine/context.h) keeps a pointer to its model, which must outlive it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/kv_part.h"
#include "engram/agents.h"
#include "engram/error.h"

struct llama_model;
struct llama_context;
struct llama_vocab;
struct llama_adapter_lora;

namespace engram {

// Remembers content hashes of files, so that a model is hashed once (the registry implements it).
class HashMemo {
  public:
    virtual ~HashMemo() = default;
    virtual std::optional<Digest> find(const std::filesystem::path &path, std::uint64_t bytes, std::int64_t modified_ns,
                                       std::uint64_t inode) const = 0;
    virtual void remember(const std::filesystem::path &path, std::uint64_t bytes, std::int64_t modified_ns, std::uint64_t inode,
                          const Digest &digest) = 0;
};

// BLAKE3 of a file's content, through the memo when one is given. For a split GGUF (name-00001-of-0000N.gguf) of all its parts.
Result<Digest> hash_model_file(const std::filesystem::path &path, HashMemo *memo);

class Model {
  public:
    // `progress` (0…1) may be null; returning false from it cancels. not_found, io, engine (libllama's own last message is in the
    // error), cancelled, invalid_argument (an adapter that doesn't fit, an unknown KV type).
    static Result<std::unique_ptr<Model>> load(const ModelOptions &options, HashMemo *memo,
                                               const std::function<bool(float)> &progress);
    ~Model();
    Model(const Model &) = delete;
    Model &operator=(const Model &) = delete;

    // `add_special` puts BOS (and what else the vocabulary wants) in front; `parse_special` turns the text of control tokens into
    // those tokens. Bytes that aren't UTF-8 are tokenised as the vocabulary can.
    std::vector<Token> tokenise(std::string_view text, bool add_special, bool parse_special) const;
    // The bytes of one token; control tokens as their text when `special`, else empty.
    std::string piece(Token token, bool special) const;
    // Concatenated pieces. May start or end inside a UTF-8 character when the tokens do.
    std::string detokenise(std::span<const Token> tokens, bool special) const;

    bool is_end_of_generation(Token token) const;
    std::uint32_t vocabulary_size() const;
    std::uint32_t trained_context() const;
    std::string chat_template() const;  // Jinja text from the metadata; empty when there is none
    std::string bos_text() const, eos_text() const;
    bool adds_bos() const;  // tokenise() with `add_special` puts BOS in front

    std::string description() const;   // "gemma3 270M Q8_0"
    std::string architecture() const;  // "gemma3"
    std::uint64_t parameters() const, bytes() const;
    std::uint32_t layers() const;
    std::uint32_t window() const;  // sliding window in positions; 0: none
    bool is_recurrent() const, is_hybrid() const;
    std::uint32_t head_dim() const;  // of keys; 0 when the metadata doesn't say

    const Digest &content_hash() const;  // weights and vocabulary
    // Content, adapters with scales, rope overrides, KV types. The context mixes its state layout in (Context::fingerprint).
    const Digest &interchange_hash() const;
    // Identity of the tokenizer alone: tokens of models with equal hashes mean the same text.
    const Digest &vocabulary_hash() const;

    const ModelOptions &options() const;
    std::int32_t threads() const;  // to compute with: the options', or as many as the machine has processors
    llama_model *handle() const;
    const llama_vocab *vocabulary() const;
    Result<void> apply_adapters(llama_context &context) const;  // engine
    Result<void> check_token(Token token) const;                // invalid_argument: there is no such token

  private:
    Model() = default;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Joins pieces to text that may be shown: holds back bytes of an unfinished UTF-8 character, and the beginning of a possible stop
// string. Not thread-safe.
class TextStream {
  public:
    explicit TextStream(std::vector<std::string> stop_strings);
    // Adds a token's bytes; returns what may be shown now (whole characters). After a stop string was found, `stopped()` is true
    // and text from it on is never returned.
    std::string add(std::string_view bytes);
    std::string finish();  // what was held back; bytes that never became a character are replaced by U+FFFD
    bool stopped() const { return stopped_; }
    const std::string &stop() const { return stop_; }  // the stop string that was found
    const std::string &text() const { return text_; }  // everything returned so far

  private:
    std::vector<std::string> stops_;
    std::string held_;
    std::string text_;
    std::string stop_;
    bool stopped_ = false;
};

}  // namespace engram
