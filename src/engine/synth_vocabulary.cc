#include "engine/synth_vocabulary.h"

#include <gguf.h>
#include <llama.h>

#include <algorithm>
#include <array>
#include <format>
#include <string_view>
#include <unordered_set>

namespace engram {

namespace {

constexpr std::array<std::string_view, 6> kControl{"<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>", "<|pad|>", "<|unk|>"};
constexpr std::uint32_t kBos = 0;
constexpr std::uint32_t kEos = 1;
constexpr std::uint32_t kEndOfTurn = 3;
constexpr std::uint32_t kPad = 4;
constexpr std::uint32_t kUnknown = 5;

// Whole words; a space in front is part of the token. Their beginnings become tokens too, since BPE builds a word from the left
// here.
constexpr std::string_view kWords =
    " the of and to in is was for that it with as his on be at by had not are but from or have an they which one you were all "
    "her she"
    " there would their we him been has when who will no more if out so up said what its about than into them can only other "
    "time new"
    " some could these two may first then do any like my now over such our man me even most made after also did many off before "
    "must"
    " well back through years where much your way down should because long each just state those people too good make world "
    "still see"
    " work life how great being day never again same used three use under few house last left place right old since while came "
    "went"
    " system user assistant tool answer question model agent memory token file line number name list value error result";
constexpr std::array<std::string_view, 24> kFragments{"ing",  "ion",  "tion", "ed", "er",  "es",  "ly",  "ment",
                                                      "ness", "able", "al",   "en", "est", "ity", "ous", "ure",
                                                      "ant",  "st",   "re",   "un", "th",  "ch",  "sh",  "qu"};

// The template's parts; those of a model that thinks stand behind the first and the second.
constexpr std::array<std::string_view, 2> kTemplate{
    R"({% if tools %}{{ '<|im_start|>system\nTools:\n' }}{% for tool in tools %}{{ tool | tojson }}{{ '\n' }}{% endfor %})"
    R"({{ '<|im_end|>\n' }}{% endif %})"
    R"({% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }})",
    R"({% if message['content'] %}{{ message['content'] }}{% endif %})"
    R"({% if message['tool_calls'] %}{% for call in message['tool_calls'] %}{{ '<tool_call>' }}{{ call['function'] | tojson }})"
    R"({{ '</tool_call>' }}{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %})"
    R"({% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %})"};
constexpr std::array<std::string_view, 2> kThinking{
    R"({% if message['reasoning_content'] %}{{ '<think>\n' + message['reasoning_content'] + '\n</think>\n\n' }}{% endif %})",
    R"({% if add_generation_prompt and enable_thinking %}{{ '<think>\n' }}{% endif %})"};

std::string template_of(bool thinks) {
    std::string text;
    for (std::size_t i = 0; i < kTemplate.size(); ++i) {
        text += kTemplate[i];
        if (thinks) text += kThinking[i];
    }
    return text;
}

// GPT-2's spelling: a byte that prints in Latin-1 is itself, the others are the code points from 256 on, in order.
std::string spelling(std::uint32_t byte) {
    const auto prints = [](std::uint32_t b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; };
    std::uint32_t code = byte;
    if (!prints(byte)) {
        code = 256;
        for (std::uint32_t b = 0; b < byte; ++b) code += prints(b) ? 0 : 1;
    }
    if (code < 0x80) return {static_cast<char>(code)};
    return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

class Builder {
  public:
    explicit Builder(SynthVocabulary &out) : out_(out) {}

    bool add(const std::string &text, llama_token_type type, bool silent) {
        if (!known_.insert(text).second) return false;
        out_.tokens.push_back(text);
        out_.types.push_back(type);
        out_.silent.push_back(silent);
        return true;
    }

    // Every beginning of the word is a token and a merge: a merge whose result is no token would lose text.
    void add_word(std::string_view word) {
        std::string built = spelling(static_cast<unsigned char>(word.front()));
        for (const char c : word.substr(1)) {
            const std::string next = spelling(static_cast<unsigned char>(c));
            if (add(built + next, LLAMA_TOKEN_TYPE_NORMAL, false)) out_.merges.push_back(std::format("{} {}", built, next));
            built += next;
        }
    }

  private:
    SynthVocabulary &out_;
    std::unordered_set<std::string> known_;
};

// The n-th invented word: syllables, least significant first, so that short words come before long ones.
std::string invented_word(std::uint32_t n) {
    constexpr std::string_view kConsonants = "bdfgklmnprstvz";
    constexpr std::string_view kVowels = "aeiou";
    constexpr std::uint32_t kSyllables = 14 * 5;
    std::string word = spelling(' ');
    for (std::uint32_t rest = n + kSyllables;; rest /= kSyllables) {
        const std::uint32_t syllable = rest % kSyllables;
        word += kConsonants[syllable / 5];
        word += kVowels[syllable % 5];
        if (rest < kSyllables) return word;
    }
}

}  // namespace

SynthVocabulary make_synth_vocabulary(std::uint32_t size) {
    SynthVocabulary vocabulary;
    Builder builder(vocabulary);
    for (const std::string_view text : kControl) builder.add(std::string(text), LLAMA_TOKEN_TYPE_CONTROL, true);
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        // Single bytes of longer characters and control characters would make what the model says unreadable.
        const bool silent = byte != '\n' && (byte < ' ' || byte > '~');
        builder.add(spelling(byte), LLAMA_TOKEN_TYPE_NORMAL, silent);
    }
    builder.add_word("\n\n");
    for (std::size_t first = 0; first < kWords.size();) {
        const std::size_t next = std::min(kWords.find(' ', first + 1), kWords.size());
        builder.add_word(kWords.substr(first, next - first));
        first = next;
    }
    for (const std::string_view fragment : kFragments) builder.add_word(fragment);
    for (std::uint32_t n = 0; vocabulary.tokens.size() < size; ++n) builder.add(invented_word(n), LLAMA_TOKEN_TYPE_NORMAL, false);
    return vocabulary;
}

void write_synth_vocabulary(const SynthVocabulary &vocabulary, bool thinks, gguf_context *file) {
    const auto set_strings = [file](const char *key, const std::vector<std::string> &texts) {
        std::vector<const char *> pointers(texts.size());
        std::ranges::transform(texts, pointers.begin(), [](const std::string &text) { return text.c_str(); });
        gguf_set_arr_str(file, key, pointers.data(), pointers.size());
    };
    gguf_set_val_str(file, "tokenizer.ggml.model", "gpt2");
    // This pre-tokeniser takes words that are tokens whole, which is what makes the invented words, which have no merges,
    // reachable.
    gguf_set_val_str(file, "tokenizer.ggml.pre", "llama-bpe");
    set_strings("tokenizer.ggml.tokens", vocabulary.tokens);
    gguf_set_arr_data(file, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, vocabulary.types.data(), vocabulary.types.size());
    set_strings("tokenizer.ggml.merges", vocabulary.merges);
    gguf_set_val_u32(file, "tokenizer.ggml.bos_token_id", kBos);
    gguf_set_val_u32(file, "tokenizer.ggml.eos_token_id", kEos);
    gguf_set_val_u32(file, "tokenizer.ggml.eot_token_id", kEndOfTurn);
    gguf_set_val_u32(file, "tokenizer.ggml.padding_token_id", kPad);
    gguf_set_val_u32(file, "tokenizer.ggml.unknown_token_id", kUnknown);
    gguf_set_val_bool(file, "tokenizer.ggml.add_bos_token", true);
    gguf_set_val_bool(file, "tokenizer.ggml.add_eos_token", false);
    gguf_set_val_str(file, "tokenizer.chat_template", template_of(thinks).c_str());
}

}  // namespace engram
