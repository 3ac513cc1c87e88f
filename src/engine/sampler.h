// Chooses tokens from logits, with libllama's samplers. Not thread-safe; one for each running turn.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/model.h"
#include "engram/sampling.h"

struct llama_context;

namespace engram {

class Sampler {
  public:
    ~Sampler();
    Sampler(Sampler &&) noexcept;
    Sampler &operator=(Sampler &&) noexcept;

    // The model must outlive the sampler. invalid_argument: a value out of range, or a grammar that doesn't parse (the message
    // says which).
    static Result<Sampler> create(const Model &model, const Sampling &sampling);

    // Prompt tokens that the penalties should know of.
    void observe(std::span<const Token> tokens);
    // Picks from the logits of the context's output `index`, and accepts the token. Values that aren't finite are taken as very
    // small (or very large) ones. When no token fits the grammar any more, an end-of-generation token.
    Token sample(llama_context *context, std::int32_t index);
    // The same over plain logits (vocabulary_size() of them), for tests and tools.
    Token sample(std::span<const float> logits);

    // Takes a token that wasn't picked as if it had been. False, and nothing was changed, where the grammar doesn't allow it.
    bool accept(Token token);

    // By the model alone, before any sampler: natural logarithms over the whole vocabulary.
    struct Probable {
        Token token = 0;
        float logprob = 0;
    };
    struct Logprobs {
        float chosen = 0;
        std::vector<Probable> most_probable;  // `count` of them, most probable first
    };
    static Logprobs logprobs(std::span<const float> logits, Token chosen, std::uint32_t count);

  private:
    struct Impl;
    explicit Sampler(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace engram
