#include "protocol/openai/models.h"

#include <utility>

namespace engram::protocol::openai {

OrderedJson model_json(const ModelCard &model) {
    OrderedJson json = {{"id", model.id}, {"object", "model"}, {"created", model.created_s}, {"owned_by", model.owned_by}};
    if (model.context_tokens > 0) json["max_model_len"] = model.context_tokens;
    return json;
}

OrderedJson model_list_json(std::span<const ModelCard> models) {
    OrderedJson data = OrderedJson::array();
    for (const ModelCard &model : models) data.push_back(model_json(model));
    return {{"object", "list"}, {"data", std::move(data)}};
}

}  // namespace engram::protocol::openai
