#include "engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/testing/tiny_models.h"

namespace engram {
namespace {

using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Real logits of the tiny model are the ground; each test raises some.
class SamplerTest : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        model = testing::load_tiny(testing::tiny_options("tiny-llama"));
        ASSERT_NE(model, nullptr);
        llama_context_params params = llama_context_default_params();
        params.n_ctx = 64;
        params.n_threads = params.n_threads_batch = 1;
        context = llama_init_from_model(model->handle(), params);
        ASSERT_NE(context, nullptr);
        std::vector<Token> prompt = model->tokenise("the first time", true, false);
        ASSERT_EQ(llama_decode(context, llama_batch_get_one(prompt.data(), static_cast<std::int32_t>(prompt.size()))), 0);
        const float *computed = llama_get_logits_ith(context, -1);
        logits.assign(computed, computed + model->vocabulary_size());
    }
    static void TearDownTestSuite() {
        llama_free(context);
        context = nullptr;
        model.reset();
    }

    static Sampler make(const Sampling &sampling) {
        auto sampler = Sampler::create(*model, sampling);
        EXPECT_TRUE(sampler) << (sampler ? "" : sampler.error().message);
        return std::move(*sampler);
    }
    static Token best() { return static_cast<Token>(std::ranges::max_element(logits) - logits.begin()); }
    static std::vector<Token> draw(const Sampling &sampling, int count) {
        Sampler sampler = make(sampling);
        std::vector<Token> tokens;
        for (int i = 0; i < count; ++i) tokens.push_back(sampler.sample(logits));
        return tokens;
    }
    static std::set<Token> support(const Sampling &sampling) {
        const std::vector<Token> tokens = draw(sampling, 500);
        return {tokens.begin(), tokens.end()};
    }
    // The tokens with the n largest logits.
    static std::set<Token> largest(std::size_t n) {
        std::multimap<float, Token, std::greater<>> order;
        for (std::size_t i = 0; i < logits.size(); ++i) order.emplace(logits[i], static_cast<Token>(i));
        std::set<Token> tokens;
        for (auto it = order.begin(); tokens.size() < n; ++it) tokens.insert(it->second);
        return tokens;
    }

    static std::unique_ptr<Model> model;
    static llama_context *context;
    static std::vector<float> logits;
};

std::unique_ptr<Model> SamplerTest::model;
llama_context *SamplerTest::context = nullptr;
std::vector<float> SamplerTest::logits;

TEST_F(SamplerTest, GreedyTakesTheLargest) {
    EXPECT_EQ(support({}), std::set<Token>{best()});
    EXPECT_EQ(make({}).sample(context, -1), best());
    // Whatever else is set: a temperature of 0 is greedy.
    EXPECT_EQ(support({.top_k = 5, .top_p = 0.9F, .min_p = 0.01F, .seed = 3}), std::set<Token>{best()});
}

TEST_F(SamplerTest, ASeedDecidesEverything) {
    const Sampling sampling{.temperature = 2.0F, .seed = 7};
    const std::vector<Token> first = draw(sampling, 50);
    EXPECT_EQ(first, draw(sampling, 50));
    EXPECT_NE(first, draw({.temperature = 2.0F, .seed = 8}, 50));
    EXPECT_GT(std::set<Token>(first.begin(), first.end()).size(), 5U);
}

TEST_F(SamplerTest, TopKKeepsTheLargest) {
    const std::set<Token> kept = support({.temperature = 20.0F, .top_k = 4, .seed = 1});
    EXPECT_EQ(kept, largest(4));
    // Of so few, not all tokens are looked at.
    EXPECT_EQ(support({.temperature = 20.0F, .top_k = 2, .seed = 1}), largest(2));
    const Token other = best() == 300 ? 301 : 300;
    EXPECT_EQ(support({.temperature = 20.0F, .top_k = 1, .seed = 1, .logit_bias = {{other, 1000.0F}}}), std::set<Token>{other});
    std::set<Token> second = largest(2);
    second.erase(best());
    EXPECT_EQ(support({.temperature = 20.0F, .top_k = 1, .seed = 1, .logit_bias = {{best(), -kInfinity}}}), second);
    // Above libllama's bound between its two ways of sorting.
    const std::set<Token> many = support({.temperature = 20.0F, .top_k = 200, .seed = 1});
    const std::set<Token> allowed = largest(200);
    EXPECT_TRUE(std::ranges::includes(allowed, many));
}

TEST_F(SamplerTest, TopPAndMinPCutTheTail) {
    const std::size_t all = support({.temperature = 20.0F, .seed = 1}).size();
    const std::set<Token> nucleus = support({.temperature = 20.0F, .top_p = 0.5F, .seed = 1});
    const std::set<Token> likely = support({.temperature = 20.0F, .min_p = 0.2F, .seed = 1});
    EXPECT_LT(nucleus.size(), all);
    EXPECT_LT(likely.size(), all);
    EXPECT_EQ(nucleus, largest(nucleus.size()));
    const float floor = logits[static_cast<std::size_t>(best())] + std::log(0.2F) - 1e-3F;
    for (const Token token : likely) EXPECT_GE(logits[static_cast<std::size_t>(token)], floor);
    EXPECT_EQ(support({.temperature = 20.0F, .top_p = 0.0F, .seed = 1}), std::set<Token>{best()});
    EXPECT_EQ(support({.temperature = 20.0F, .min_p = 1.0F, .seed = 1}), std::set<Token>{best()});
}

TEST_F(SamplerTest, PenaltiesTurnAwayFromWhatWasSaid) {
    for (const Sampling &sampling :
         std::vector<Sampling>{{.repeat_penalty = 50.0F}, {.presence_penalty = 50.0F}, {.frequency_penalty = 50.0F}}) {
        const std::vector<Token> tokens = draw(sampling, 5);
        EXPECT_EQ(tokens.front(), best());
        EXPECT_EQ(std::set<Token>(tokens.begin(), tokens.end()).size(), 5U);

        Sampler told = make(sampling);
        const std::vector<Token> prompt{best(), -5, std::numeric_limits<Token>::max()};
        told.observe(prompt);
        EXPECT_NE(told.sample(logits), best());
    }
    // Only the last ones count.
    const std::vector<Token> forgetful = draw({.presence_penalty = 50.0F, .penalty_last_n = 1}, 4);
    EXPECT_EQ(forgetful[0], forgetful[2]);
    EXPECT_NE(forgetful[0], forgetful[1]);
}

TEST_F(SamplerTest, BiasForcesAndBans) {
    const Token other = best() == 300 ? 301 : 300;
    EXPECT_EQ(support({.logit_bias = {{other, 1000.0F}}}), std::set<Token>{other});
    EXPECT_EQ(support({.temperature = 1.0F, .seed = 1, .logit_bias = {{other, kInfinity}}}), std::set<Token>{other});
    EXPECT_FALSE(support({.logit_bias = {{best(), -kInfinity}}}).contains(best()));
    EXPECT_FALSE(support({.temperature = 5.0F, .seed = 1, .logit_bias = {{best(), -kInfinity}}}).contains(best()));
    // To ban everything is strange, not fatal.
    Sampling everything{.temperature = 1.0F, .seed = 1};
    for (Token token = 0; token < static_cast<Token>(logits.size()); ++token)
        everything.logit_bias.emplace_back(token, -kInfinity);
    Sampler sampler = make(everything);
    const Token token = sampler.sample(logits);
    EXPECT_TRUE(token >= 0 && token < static_cast<Token>(logits.size()));
}

TEST_F(SamplerTest, AGrammarShapesTheText) {
    for (const float temperature : {0.0F, 3.0F}) {
        Sampler sampler = make({.temperature = temperature, .seed = 5, .grammar = R"(root ::= ("ab" | [0-9])+)"});
        std::string text;
        for (int i = 0; i < 30; ++i) text += model->piece(sampler.sample(logits), true);
        EXPECT_GE(text.size(), 30U);
        for (std::size_t i = 0; i < text.size(); ++i) {
            const bool digit = text[i] >= '0' && text[i] <= '9';
            const bool a = text[i] == 'a' && (i + 1 == text.size() || text[i + 1] == 'b');
            const bool b = text[i] == 'b' && i > 0 && text[i - 1] == 'a';
            EXPECT_TRUE(digit || a || b) << text;
        }
    }
}

TEST_F(SamplerTest, AFinishedGrammarEndsTheAnswer) {
    Sampler sampler = make({.grammar = R"(root ::= "yes" "!")"});
    std::string text;
    Token token = sampler.sample(logits);
    for (int i = 0; i < 10 && !model->is_end_of_generation(token); ++i, token = sampler.sample(logits))
        text += model->piece(token, true);
    EXPECT_EQ(text, "yes!");
    EXPECT_TRUE(model->is_end_of_generation(token));
    EXPECT_TRUE(model->is_end_of_generation(sampler.sample(logits)));
}

TEST_F(SamplerTest, TokensOfOthersAreTakenWhereTheGrammarAllowsThem) {
    const auto token_of = [&](std::string_view text) { return model->tokenise(text, false, true).front(); };
    Sampler sampler = make({.grammar = R"(root ::= [ab] "!")"});
    EXPECT_FALSE(sampler.accept(token_of("!"))) << "a letter comes first";
    EXPECT_TRUE(sampler.accept(token_of("b")));
    EXPECT_FALSE(sampler.accept(token_of("a")));
    EXPECT_EQ(sampler.sample(logits), token_of("!"));
    EXPECT_FALSE(sampler.accept(token_of("a"))) << "the end";
    EXPECT_TRUE(model->is_end_of_generation(sampler.sample(logits)));
    // Without a grammar, any; and the penalties know of it.
    Sampler penalised = make({.presence_penalty = 100.0F, .penalty_last_n = 4});
    EXPECT_TRUE(penalised.accept(best()));
    EXPECT_NE(penalised.sample(logits), best());
}

TEST_F(SamplerTest, AGrammarThatNothingFitsEndsTheAnswer) {
    Sampler sampler = make({.grammar = "root ::= []"});
    EXPECT_TRUE(model->is_end_of_generation(sampler.sample(logits)));
    EXPECT_TRUE(model->is_end_of_generation(sampler.sample(logits)));
}

TEST_F(SamplerTest, BadGrammarsAreRefused) {
    std::string nested = "root ::= ";
    nested.append(100000, '(').append("\"a\"").append(100000, ')');
    std::string zero = "root ::= \"a\"";
    zero[4] = '\0';
    for (const std::string &grammar :
         {std::string("root ::= missing"), std::string("other ::= \"a\""), std::string("root ::= \"unclosed"),
          std::string("root ::= [a-"), std::string("root ::= root \"a\""), std::string("root ::= \"a\"{3,1"),
          std::string("root ::= \"a\"{999999999}"), std::string("{}"), std::string("\xFF\xFE"), std::string(1 << 20, ' '), nested,
          zero}) {
        const auto sampler = Sampler::create(*model, {.grammar = grammar});
        ASSERT_FALSE(sampler) << grammar.substr(0, 60);
        EXPECT_EQ(sampler.error().code, ErrorCode::invalid_argument);
        EXPECT_THAT(sampler.error().message, HasSubstr("grammar"));
    }
}

TEST_F(SamplerTest, ParenthesesInLiteralsArentNesting) {
    const std::string many(500, '(');
    EXPECT_TRUE(Sampler::create(*model, {.grammar = "root ::= \"" + many + "\\\"\" [" + many + "] # " + many + "\n"}));
}

TEST_F(SamplerTest, ValuesOutOfRangeAreNamed) {
    const Token beyond = static_cast<Token>(logits.size());
    const std::vector<std::pair<Sampling, std::string>> cases{
        {{.temperature = -0.1F}, "temperature"},
        {{.temperature = kNan}, "temperature"},
        {{.temperature = kInfinity}, "temperature"},
        {{.top_k = -1}, "top_k"},
        {{.top_p = 1.1F}, "top_p"},
        {{.top_p = -0.1F}, "top_p"},
        {{.top_p = kNan}, "top_p"},
        {{.min_p = 1.1F}, "min_p"},
        {{.min_p = -0.1F}, "min_p"},
        {{.repeat_penalty = 0.0F}, "repeat_penalty"},
        {{.repeat_penalty = kNan}, "repeat_penalty"},
        {{.presence_penalty = kInfinity}, "presence_penalty"},
        {{.frequency_penalty = kNan}, "frequency"},
        {{.penalty_last_n = -1}, "penalty_last_n"},
        {{.penalty_last_n = 1 << 30}, "penalty"},
        {{.logit_bias = {{-1, 1.0F}}}, "logit_bias"},
        {{.logit_bias = {{beyond, 1.0F}}}, "bias"},
        {{.logit_bias = {{0, kNan}}}, "logit_bias"},
    };
    for (const auto &[sampling, name] : cases) {
        const auto sampler = Sampler::create(*model, sampling);
        ASSERT_FALSE(sampler) << name;
        EXPECT_EQ(sampler.error().code, ErrorCode::invalid_argument);
        EXPECT_THAT(sampler.error().message, HasSubstr(name));
    }
}

TEST_F(SamplerTest, LogitsThatArentNumbersAreHarmless) {
    for (const Sampling &sampling :
         std::vector<Sampling>{{},
                               {.temperature = 1.0F, .seed = 1},
                               {.temperature = 1.0F, .top_k = 200, .top_p = 0.9F, .min_p = 0.1F, .seed = 1},
                               {.repeat_penalty = 1.1F},
                               {.grammar = R"(root ::= [a-z]+)"}}) {
        for (const float odd : {kNan, kInfinity, -kInfinity}) {
            Sampler sampler = make(sampling);
            for (const std::vector<float> &row : {std::vector<float>(logits.size(), odd), logits}) {
                std::vector<float> some = row;
                for (std::size_t i = 0; i < some.size(); i += 3) some[i] = odd;
                const Token token = sampler.sample(some);
                EXPECT_TRUE(token >= 0 && token < static_cast<Token>(some.size()));
            }
        }
    }
    std::vector<float> one_good(logits.size(), kNan);
    one_good[300] = -3.0F;
    EXPECT_EQ(make({}).sample(one_good), 300);
    EXPECT_EQ(make({.temperature = 1.0F, .seed = 1}).sample(one_good), 300);
}

TEST_F(SamplerTest, ALazyGrammarHoldsFromItsTriggerOn) {
    const auto said = [](Sampler &sampler, std::string_view wish, int count) {
        std::string text;
        const std::vector<Token> wished = model->tokenise(wish, false, false);
        for (int i = 0; i < count; ++i) {
            std::vector<float> row = logits;
            if (i < static_cast<int>(wished.size())) row[static_cast<std::size_t>(wished[static_cast<std::size_t>(i)])] = 1000.0F;
            const Token token = sampler.sample(row);
            if (model->is_end_of_generation(token)) return text + "$";
            text += model->piece(token, false);
        }
        return text;
    };
    const Sampling lazy{.grammar = R"x(root ::= "(call)" [0-9] [0-9])x", .grammar_triggers = {"(call)"}};
    Sampler calls = make(lazy);
    const std::string called = said(calls, "x(call)", 40);
    ASSERT_TRUE(called.starts_with("x(call)")) << called;
    ASSERT_EQ(called.size(), std::string("x(call)").size() + 3) << called;
    EXPECT_TRUE(called.ends_with("$"));
    Sampler talks = make(lazy);
    EXPECT_FALSE(said(talks, "(cal", 12).contains('$')) << "without the trigger nothing is asked for";
}

TEST(SamplerLogprobs, AreThoseOfTheWholeVocabulary) {
    const std::vector<float> logits{1.0F, 3.0F, 2.0F, kNan, -kInfinity};
    const Sampler::Logprobs two = Sampler::logprobs(logits, 0, 2);
    const double sum = std::exp(1.0) + std::exp(3.0) + std::exp(2.0);
    EXPECT_NEAR(two.chosen, std::log(std::exp(1.0) / sum), 1e-5);
    ASSERT_EQ(two.most_probable.size(), 2U);
    EXPECT_EQ(two.most_probable[0].token, 1);
    EXPECT_NEAR(two.most_probable[0].logprob, std::log(std::exp(3.0) / sum), 1e-5);
    EXPECT_EQ(two.most_probable[1].token, 2);
    EXPECT_EQ(Sampler::logprobs(logits, 1, 20).most_probable.size(), logits.size());
    EXPECT_TRUE(Sampler::logprobs(logits, 1, 0).most_probable.empty());
    EXPECT_TRUE(std::isfinite(Sampler::logprobs(logits, 3, 1).chosen));
}

}  // namespace
}  // namespace engram
