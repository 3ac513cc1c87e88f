// GET /v1/models and /v1/models/{id}. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "chat/bounded_json.h"

namespace engram::protocol::openai {

struct ModelCard {
    std::string id;
    std::int64_t created_s = 0;  // Unix time
    std::string owned_by = "engram";
    std::uint32_t context_tokens = 0;  // told as max_model_len, as other local servers do; 0: not known
};

OrderedJson model_json(const ModelCard &model);
OrderedJson model_list_json(std::span<const ModelCard> models);

}  // namespace engram::protocol::openai
