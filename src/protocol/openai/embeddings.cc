#include "protocol/openai/embeddings.h"

#include <bit>
#include <cmath>
#include <format>

#include "core/base64.h"
#include "protocol/openai/request_fields.h"
#include "protocol/openai/wire.h"

namespace engram::protocol::openai {
namespace {

constexpr std::size_t kMaxInputs = 2048;
constexpr std::int64_t kMaxDimensions = 1 << 20;

ApiResult<EmbeddingInput> one_input(const Field &input) {
    EmbeddingInput result;
    if (input.is_text()) {
        ENGRAM_ASSIGN(result.text, input.text_that_is_not_empty());
    } else if (input.is_array()) {
        ENGRAM_ASSIGN(result.tokens, token_ids(input));
    } else {
        return input.wrong("must be a string, a list of token ids, or a list of those");
    }
    return result;
}

std::vector<float> shortened(std::vector<float> vector, std::size_t dimensions) {
    vector.resize(dimensions);
    double squares = 0;
    for (const float value : vector) squares += static_cast<double>(value) * value;
    const double length = std::sqrt(squares);
    for (float &value : vector) value = length > 0 ? static_cast<float>(value / length) : 0.0F;
    return vector;
}

std::string little_endian_base64(const std::vector<float> &vector) {
    std::string bytes;
    bytes.reserve(vector.size() * sizeof(float));
    for (const float value : vector) {
        const auto bits = std::bit_cast<std::uint32_t>(value);
        for (const unsigned shift : {0U, 8U, 16U, 24U}) bytes += static_cast<char>(bits >> shift & 0xFFU);
    }
    return base64(bytes);
}

}  // namespace

ApiResult<EmbeddingRequest> parse_embedding_request(const OrderedJson &json) {
    const Field body(json);
    ENGRAM_TRY(body.must_be_object());
    EmbeddingRequest request;
    ENGRAM_ASSIGN(request.model, body["model"].text_or(""));
    const Field input = body["input"];
    if (!input.present()) return input.wrong("is missing");
    std::vector<Field> list = input.elements();
    const bool several = !list.empty() && !list.front().is_number();
    if (!several) list = {input};
    if (several) ENGRAM_TRY(input.must_be_array(1, kMaxInputs));
    for (const Field &field : list) {
        ENGRAM_ASSIGN(EmbeddingInput parsed, one_input(field));
        request.inputs.push_back(std::move(parsed));
    }
    ENGRAM_TRY(must_be_one_of(body["encoding_format"], {"float", "base64"}));
    request.base64 = body["encoding_format"].json() == "base64";
    ENGRAM_ASSIGN(const std::int64_t dimensions, body["dimensions"].whole_number_or(0, 1, kMaxDimensions));
    request.dimensions = static_cast<std::uint32_t>(dimensions);
    ENGRAM_TRY(body["user"].text_or(""));
    return request;
}

ApiResult<OrderedJson> embedding_answer(const EmbeddingRequest &request, const std::string &model,
                                        std::span<const std::vector<float>> embeddings, std::uint64_t prompt_tokens) {
    OrderedJson data = OrderedJson::array();
    for (const std::vector<float> &embedding : embeddings) {
        if (request.dimensions > embedding.size()) {
            return wrong_field("dimensions", std::format("dimensions: this model's embeddings have {}", embedding.size()));
        }
        const std::vector<float> vector = request.dimensions > 0 ? shortened(embedding, request.dimensions) : embedding;
        const OrderedJson value = request.base64 ? OrderedJson(little_endian_base64(vector)) : OrderedJson(vector);
        data.push_back({{"object", "embedding"}, {"index", data.size()}, {"embedding", value}});
    }
    return OrderedJson({{"object", "list"},
                        {"data", std::move(data)},
                        {"model", model},
                        {"usage", {{"prompt_tokens", prompt_tokens}, {"total_tokens", prompt_tokens}}}});
}

}  // namespace engram::protocol::openai
