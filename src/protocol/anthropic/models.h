// /v1/models and /v1/models/{id} in Anthropic's shape. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "protocol/anthropic/lookup.h"
#include "protocol/api_error.h"

namespace engram::protocol::anthropic {

struct ModelCard {
    std::string id;
    std::string display_name;             // empty: the id
    std::string created_at;               // RFC 3339, "2026-11-21T08:00:00Z"; empty: unknown, and 1970 is given
    std::uint64_t max_input_tokens = 0;   // 0: unknown
    std::uint64_t max_output_tokens = 0;  // 0: unknown
    bool thinks = false;                  // its template has a switch for thinking
};

struct Paging {
    std::string before_id, after_id;  // at most one of them: the page ends before, or begins after, this model
    std::uint32_t limit = 20;         // 1 to 1000
};

// From the parameters of the request's path. invalid_request.
ApiResult<Paging> read_paging(const Lookup &parameters);

std::string model_info(const ModelCard &model);

// A page of `models`, which are in the order of the list. invalid_request: there is no model with the id that the paging names.
ApiResult<std::string> model_list(std::span<const ModelCard> models, const Paging &paging);

}  // namespace engram::protocol::anthropic
