// POST /v1/embeddings: the request, and its answer. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "protocol/field.h"

namespace engram::protocol::openai {

struct EmbeddingInput {
    std::string text;
    std::vector<std::int32_t> tokens;  // not empty: in place of the text
};

struct EmbeddingRequest {
    std::string model;
    std::vector<EmbeddingInput> inputs;  // 1 to 2048
    std::uint32_t dimensions = 0;        // 0: as many as the model has
    bool base64 = false;                 // little-endian floats in base64, in place of numbers
};

ApiResult<EmbeddingRequest> parse_embedding_request(const OrderedJson &json);

// One embedding for each input, in order. With `dimensions` each is cut and scaled to length 1 again; invalid_request when the
// model has fewer.
ApiResult<OrderedJson> embedding_answer(const EmbeddingRequest &request, const std::string &model,
                                        std::span<const std::vector<float>> embeddings, std::uint64_t prompt_tokens);

}  // namespace engram::protocol::openai
