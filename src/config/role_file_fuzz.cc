// Fuzz entry of role files: a role whose ids are ids, or an error that names the file and, where there is one, the line.
#include "config/role_file.h"
#include "core/ids.h"
#include "core/testing/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    using namespace engram;
    using fuzz::require;
    const ReadBeside beside = [](const std::string &name) -> Result<std::string> {
        if (name == "prompt.txt") return std::string("You are Ada.");
        return fail(ErrorCode::not_found, "there is no such file");
    };
    const auto role = parse_role(fuzz::text_of(data, size), "ada.toml", beside);
    if (!role) {
        require(role.error().message.starts_with("ada.toml"));
        return 0;
    }
    require(validate_agent_id(role->id).has_value());
    for (const std::string &colleague : role->card.colleagues) require(validate_agent_id(colleague).has_value());
    for (const AgentSkill &skill : role->card.skills) require(!skill.id.empty() && !skill.name.empty());
    return 0;
}
