// What a request of OpenAI's Responses refers to. Internal to the server.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "protocol/openai/responses_request.h"
#include "server/app.h"

namespace engram::server {

// Earlier responses of one tenant, as the request's parser asks for them.
class EarlierResponses final : public protocol::openai::StoredResponses {
  public:
    EarlierResponses(App &app, const Caller &caller) : app_(app), caller_(caller) {}

    std::optional<std::vector<ChatMessage>> conversation(std::string_view response_id) const override {
        const auto stored = app_.responses().find(caller_.tenant, response_id);
        if (!stored || !*stored) return std::nullopt;
        auto said = caller_.agents->said_until(response_id);
        if (!said || said->size() < (*stored)->instruction_messages) return std::nullopt;
        said->erase(said->begin(), said->begin() + static_cast<std::ptrdiff_t>((*stored)->instruction_messages));
        return std::move(*said);
    }

    std::optional<OrderedJson> item(std::string_view item_id) const override {
        auto item = app_.responses().item(caller_.tenant, item_id);
        if (!item) return std::nullopt;
        return std::move(*item);
    }

  private:
    App &app_;
    const Caller &caller_;
};

}  // namespace engram::server
