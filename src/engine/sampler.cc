#include "engine/sampler.h"

#include <llama.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <format>
#include <iterator>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/top_logits.h"

namespace engram {

namespace {

// Stand in for infinities, which turn a softmax into NaN, and which libllama's bucket sort converts to int. Far beyond any real
// logit.
constexpr float kLargest = 1e8F;
constexpr std::size_t kMaxGrammarBytes = 256 << 10;
constexpr int kMaxGrammarNesting = 64;
constexpr std::int32_t kMaxPenaltyTokens = 1 << 16;

struct FreeSampler {
    void operator()(llama_sampler *sampler) const { llama_sampler_free(sampler); }
};
using Handle = std::unique_ptr<llama_sampler, FreeSampler>;

bool has_penalties(const Sampling &sampling) {
    return sampling.penalty_last_n > 0 &&
           (sampling.repeat_penalty != 1.0F || sampling.presence_penalty != 0.0F || sampling.frequency_penalty != 0.0F);
}

Result<void> check_range(std::string_view name, float value, float low, float high) {
    if (value >= low && value <= high) return {};
    return fail(ErrorCode::invalid_argument, std::format("{} must be from {} to {}, not {}", name, low, high, value));
}

Result<void> check_values(const Sampling &sampling, std::uint32_t vocabulary) {
    ENGRAM_TRY(check_range("temperature", sampling.temperature, 0.0F, 100.0F));
    ENGRAM_TRY(check_range("top_p", sampling.top_p, 0.0F, 1.0F));
    ENGRAM_TRY(check_range("min_p", sampling.min_p, 0.0F, 1.0F));
    ENGRAM_TRY(check_range("repeat_penalty", sampling.repeat_penalty, 0.01F, 100.0F));
    ENGRAM_TRY(check_range("presence_penalty", sampling.presence_penalty, -100.0F, 100.0F));
    ENGRAM_TRY(check_range("frequency_penalty", sampling.frequency_penalty, -100.0F, 100.0F));
    if (sampling.top_k < 0)
        return fail(ErrorCode::invalid_argument, std::format("top_k must not be negative, but is {}", sampling.top_k));
    if (sampling.penalty_last_n < 0 || sampling.penalty_last_n > kMaxPenaltyTokens) {
        return fail(ErrorCode::invalid_argument,
                    std::format("penalty_last_n must be from 0 to {}, not {}", kMaxPenaltyTokens, sampling.penalty_last_n));
    }
    for (const auto &[token, bias] : sampling.logit_bias) {
        if (token < 0 || static_cast<std::uint32_t>(token) >= vocabulary) {
            return fail(ErrorCode::invalid_argument,
                        std::format("logit_bias names token {}, but the model has 0 to {}", token, vocabulary - 1));
        }
        if (std::isnan(bias))
            return fail(ErrorCode::invalid_argument, std::format("logit_bias of token {} isn't a number", token));
    }
    return {};
}

// How deep parentheses are nested outside of literals, character classes and comments. libllama's parser recurses into each.
int grammar_nesting(std::string_view grammar) {
    int depth = 0;
    int deepest = 0;
    char closing = 0;  // what ends the literal, class or comment that we are in
    for (std::size_t i = 0; i < grammar.size(); ++i) {
        const char c = grammar[i];
        if (closing != 0) {
            if (c == '\\' && closing != '\n') {
                ++i;
            } else if (c == closing) {
                closing = 0;
            }
        } else if (c == '"') {
            closing = '"';
        } else if (c == '[') {
            closing = ']';
        } else if (c == '#') {
            closing = '\n';
        } else if (c == '(') {
            deepest = std::max(deepest, ++depth);
        } else if (c == ')') {
            --depth;
        }
    }
    return deepest;
}

// As a regular expression that matches the text itself.
std::string literal_pattern(std::string_view text) {
    std::string pattern;
    for (const char c : text) {
        if (std::string_view(R"(^$\.*+?()[]{}|/-)").contains(c)) pattern += '\\';
        pattern += c;
    }
    return pattern;
}

Result<Handle> make_grammar(const llama_vocab *vocab, const Sampling &sampling) {
    const std::string &grammar = sampling.grammar;
    if (grammar.empty()) return Handle();
    if (grammar.size() > kMaxGrammarBytes) {
        return fail(ErrorCode::invalid_argument,
                    std::format("the grammar has {} bytes; at most {} are taken", grammar.size(), kMaxGrammarBytes));
    }
    if (grammar.find('\0') != std::string::npos) return fail(ErrorCode::invalid_argument, "the grammar has a zero byte");
    if (grammar_nesting(grammar) > kMaxGrammarNesting) {
        return fail(ErrorCode::invalid_argument,
                    std::format("the grammar's parentheses are nested deeper than {}", kMaxGrammarNesting));
    }
    static_cast<void>(last_engine_error());
    std::string why;
    std::vector<std::string> patterns;
    std::ranges::transform(sampling.grammar_triggers, std::back_inserter(patterns), literal_pattern);
    std::vector<const char *> triggers;
    for (const std::string &pattern : patterns) triggers.push_back(pattern.c_str());
    try {
        Handle made(triggers.empty() ? llama_sampler_init_grammar(vocab, grammar.c_str(), "root")
                                     : llama_sampler_init_grammar_lazy_patterns(vocab, grammar.c_str(), "root", triggers.data(),
                                                                                triggers.size(), nullptr, 0));
        if (made != nullptr) return made;
        why = last_engine_error();
    } catch (const std::exception &error) {
        why = error.what();
    }
    if (why.empty()) why = "it isn't GBNF with a rule \"root\"";
    return fail(ErrorCode::invalid_argument, std::format("the grammar can't be used: {}", why));
}

Handle make_chain(const Sampling &sampling, std::int32_t vocabulary) {
    Handle chain(llama_sampler_chain_init(llama_sampler_chain_default_params()));
    const auto add = [&chain](llama_sampler *sampler) { llama_sampler_chain_add(chain.get(), sampler); };
    if (has_penalties(sampling)) {
        add(llama_sampler_init_penalties(vocabulary, sampling.penalty_last_n, sampling.repeat_penalty, sampling.frequency_penalty,
                                         sampling.presence_penalty));
    }
    if (sampling.temperature == 0.0F) {  // the others can't change which token is the most probable
        add(llama_sampler_init_greedy());
        return chain;
    }
    if (sampling.top_k > 0) add(llama_sampler_init_top_k(sampling.top_k));
    if (sampling.top_p < 1.0F) add(llama_sampler_init_top_p(sampling.top_p, 1));
    if (sampling.min_p > 0.0F) add(llama_sampler_init_min_p(sampling.min_p, 1));
    add(llama_sampler_init_temp(sampling.temperature));
    add(llama_sampler_init_dist(sampling.seed));
    return chain;
}

float bounded(float logit) { return std::isnan(logit) ? -kLargest : std::clamp(logit, -kLargest, kLargest); }

llama_token_data candidate(Token token, float logit) { return {.id = token, .logit = bounded(logit), .p = 0.0F}; }

// How many of the largest logits decide; 0: all may. Any bias can move one token into them, and another out.
std::size_t n_that_decide(const Sampling &sampling) {
    if (has_penalties(sampling)) return 0;  // they come before what is the most probable is asked
    if (sampling.temperature == 0.0F) return 1 + sampling.logit_bias.size();
    return sampling.top_k > 0 ? static_cast<std::size_t>(sampling.top_k) + sampling.logit_bias.size() : 0;
}

}  // namespace

struct Sampler::Impl {
    const llama_vocab *vocab = nullptr;
    Sampling sampling;  // without the grammar's text; the bias also against tokens that the model's makers never want to see
    Handle made_chain;  // null: no token was seen so far. The draw's generator takes 10 KiB, and many wait for their turn
    Handle grammar;     // null: none
    std::size_t n_decide = 0;
    std::vector<Token> tokens;                 // what is found to be decisive
    std::vector<llama_token_data> candidates;  // in the tokens' order. Both are reused: a large vocabulary's take megabytes

    llama_sampler *chain();  // penalties to draw
    llama_token_data_array all_of(std::span<const float> logits);
    llama_token_data_array decisive(std::span<const float> logits);  // those that the chain could pick, and some more
    llama_token_data_array biased();                                 // the candidates
    Token pick(llama_token_data_array all);
    bool fits_grammar(Token token);
    Token end_token() const;
    Token sample(std::span<const float> logits);
};

llama_sampler *Sampler::Impl::chain() {
    if (!made_chain) made_chain = make_chain(sampling, llama_vocab_n_tokens(vocab));
    return made_chain.get();
}

llama_token_data_array Sampler::Impl::all_of(std::span<const float> logits) {
    candidates.resize(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) candidates[i] = candidate(static_cast<Token>(i), logits[i]);
    return biased();
}

llama_token_data_array Sampler::Impl::decisive(std::span<const float> logits) {
    tokens.clear();
    if (!append_top_logits(logits, n_decide, kLargest, tokens)) return all_of(logits);
    if (!sampling.logit_bias.empty()) {
        for (const auto &[token, value] : sampling.logit_bias) tokens.push_back(token);
        std::ranges::sort(tokens);
        const auto twice = std::ranges::unique(tokens);
        tokens.erase(twice.begin(), twice.end());
    }
    candidates.clear();
    for (const Token token : tokens) candidates.push_back(candidate(token, logits[static_cast<std::size_t>(token)]));
    return biased();
}

llama_token_data_array Sampler::Impl::biased() {
    for (const auto &[token, value] : sampling.logit_bias) {
        float &logit = std::ranges::lower_bound(candidates, token, {}, &llama_token_data::id)->logit;
        logit = bounded(logit + value);
    }
    return {.data = candidates.data(), .size = candidates.size(), .selected = -1, .sorted = false};
}

Token Sampler::Impl::pick(llama_token_data_array all) {
    llama_sampler_apply(chain(), &all);
    const bool chosen = all.selected >= 0 && static_cast<std::size_t>(all.selected) < all.size;
    return chosen ? all.data[all.selected].id : end_token();
}

bool Sampler::Impl::fits_grammar(Token token) {
    llama_token_data one{.id = token, .logit = 1.0F, .p = 0.0F};
    llama_token_data_array array{.data = &one, .size = 1, .selected = -1, .sorted = false};
    llama_sampler_apply(grammar.get(), &array);
    return one.logit != -std::numeric_limits<float>::infinity();
}

Token Sampler::Impl::end_token() const {
    const Token turn = llama_vocab_eot(vocab);
    if (turn >= 0) return turn;
    const Token end = llama_vocab_eos(vocab);
    return end >= 0 ? end : 0;
}

Token Sampler::Impl::sample(std::span<const float> logits) {
    Token token = 0;
    if (grammar == nullptr) {
        token = pick(decisive(logits));
    } else {
        // The whole vocabulary's texts against the grammar cost far more than a greedy pick that usually fits anyway.
        bool fits = false;
        if (sampling.temperature == 0.0F) {
            token = pick(decisive(logits));
            fits = fits_grammar(token);
        }
        if (!fits) {
            llama_token_data_array all = all_of(logits);
            llama_sampler_apply(grammar.get(), &all);
            const bool none = std::all_of(all.data, all.data + all.size, [](const llama_token_data &candidate) {
                return candidate.logit == -std::numeric_limits<float>::infinity();
            });
            if (none) return end_token();  // not accepted: the grammar would abort on it
            token = pick(all);
        }
        llama_sampler_accept(grammar.get(), token);
    }
    llama_sampler_accept(chain(), token);
    return token;
}

Sampler::Sampler(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Sampler::~Sampler() = default;
Sampler::Sampler(Sampler &&) noexcept = default;
Sampler &Sampler::operator=(Sampler &&) noexcept = default;

Result<Sampler> Sampler::create(const Model &model, const Sampling &sampling) {
    ENGRAM_TRY(check_values(sampling, model.vocabulary_size()));
    auto impl = std::make_unique<Impl>();
    impl->vocab = model.vocabulary();
    ENGRAM_ASSIGN(impl->grammar, make_grammar(impl->vocab, sampling));
    impl->sampling = sampling;
    impl->sampling.grammar = {};
    std::int32_t count = 0;
    const llama_token *suppressed = llama_vocab_get_suppress_tokens(impl->vocab, &count);
    for (std::int32_t i = 0; suppressed != nullptr && i < count; ++i) {
        if (suppressed[i] >= 0 && static_cast<std::uint32_t>(suppressed[i]) < model.vocabulary_size()) {
            impl->sampling.logit_bias.emplace_back(suppressed[i], -kLargest);
        }
    }
    impl->n_decide = n_that_decide(impl->sampling);
    return Sampler(std::move(impl));
}

void Sampler::observe(std::span<const Token> tokens) {
    for (const Token token : tokens) {
        if (token >= 0 && token < llama_vocab_n_tokens(impl_->vocab)) llama_sampler_accept(impl_->chain(), token);
    }
}

bool Sampler::accept(Token token) {
    try {
        if (impl_->grammar != nullptr) {
            if (!impl_->fits_grammar(token)) return false;
            llama_sampler_accept(impl_->grammar.get(), token);
        }
    } catch (const std::exception &) {
        return false;
    }
    llama_sampler_accept(impl_->chain(), token);
    return true;
}

Sampler::Logprobs Sampler::logprobs(std::span<const float> logits, Token chosen, std::uint32_t count) {
    float largest = -kLargest;
    for (const float logit : logits) {
        if (logit > largest) largest = std::min(logit, kLargest);
    }
    double sum = 0;
    for (const float logit : logits) {
        if (!std::isnan(logit)) sum += std::exp(static_cast<double>(std::min(logit, kLargest) - largest));
    }
    const auto log_of = [&](Token token) {
        const float logit = logits[static_cast<std::size_t>(token)];
        const double bounded = std::isnan(logit) ? -kLargest : std::clamp(logit, -kLargest, kLargest);
        return static_cast<float>(bounded - largest - std::log(sum));
    };
    Logprobs result{.chosen = log_of(chosen), .most_probable = {}};
    std::vector<Token> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    const auto middle = order.begin() + std::min<std::ptrdiff_t>(count, std::ssize(order));
    std::ranges::partial_sort(order, middle, [&](Token a, Token b) { return log_of(a) > log_of(b); });
    for (auto token = order.begin(); token != middle; ++token) {
        result.most_probable.push_back({.token = *token, .logprob = log_of(*token)});
    }
    return result;
}

Token Sampler::sample(llama_context *context, std::int32_t index) {
    const float *logits = llama_get_logits_ith(context, index);
    if (logits == nullptr) return impl_->end_token();
    return sample({logits, static_cast<std::size_t>(llama_vocab_n_tokens(impl_->vocab))});
}

Token Sampler::sample(std::span<const float> logits) {
    try {
        return impl_->sample(logits);
    } catch (const std::exception &) {
        // Only a grammar throws (its text can't be continued by the token's): from here on nothing fits it.
        return impl_->end_token();
    }
}

}  // namespace engram
