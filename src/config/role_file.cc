#include "config/role_file.h"

#include <algorithm>
#include <array>
#include <format>
#include <map>
#include <set>
#include <sstream>

#include "config/config_file.h"
#include "config/toml.h"
#include "core/ids.h"

namespace engram {
namespace {

constexpr auto kMembers = std::to_array<std::string_view>({"id", "system_prompt", "system_prompt_file", "description", "owner",
                                                           "labels", "colleagues", "retention", "tools", "approvals", "team",
                                                           "compaction", "functions", "functions_file", "skills"});
constexpr std::array<std::string_view, 5> kSkillMembers{"id", "name", "description", "tags", "examples"};

// A file's tables, with messages that name the line.
class Reader {
  public:
    explicit Reader(std::string name) : name_(std::move(name)) {}

    std::unexpected<Error> at(const toml::source_region &place, std::string_view message) const {
        return fail(ErrorCode::invalid_argument, std::format("{}:{}: {}", name_, place.begin.line, message));
    }

    Result<void> only(const toml::table &table, std::span<const std::string_view> known, std::string_view what) const {
        for (auto &&[key, node] : table) {
            if (std::ranges::contains(known, key.str())) continue;
            return at(key.source(), std::format("a {} has no \"{}\"", what, key.str().substr(0, 80)));
        }
        return {};
    }

    Result<std::string> text(const toml::table &table, std::string_view key) const {
        const toml::node *node = table.get(key);
        if (node == nullptr) return std::string();
        const auto *text = node->as_string();
        if (text == nullptr) return at(node->source(), std::format("{} must be a text, not {}", key, type_name(node->type())));
        return text->get();
    }

    Result<std::vector<std::string>> texts(const toml::table &table, std::string_view key) const {
        std::vector<std::string> list;
        const toml::node *node = table.get(key);
        if (node == nullptr) return list;
        const toml::array *array = node->as_array();
        if (array == nullptr) {
            return at(node->source(), std::format("{} must be a list of texts, not {}", key, type_name(node->type())));
        }
        for (const toml::node &item : *array) {
            const auto *text = item.as_string();
            if (text == nullptr) {
                return at(item.source(), std::format("{} must be texts only, not {}", key, type_name(item.type())));
            }
            list.push_back(text->get());
        }
        return list;
    }

    // A text, or the file that a member with "_file" behind its name names.
    Result<std::string> text_or_file(const toml::table &table, const std::string &key, const ReadBeside &read) const {
        const std::string file_key = key + "_file";
        if (!table.contains(file_key)) return text(table, key);
        const toml::source_region &place = table.get(file_key)->source();
        if (table.contains(key)) return at(place, std::format("either {} or {}, not both", key, file_key));
        ENGRAM_ASSIGN(const std::string file, text(table, file_key));
        auto content = read(file);
        if (!content) return at(place, std::format("{}: {}", file_key, content.error().message));
        return content;
    }

    Result<std::vector<AgentSkill>> skills(const toml::table &table) const {
        std::vector<AgentSkill> skills;
        std::set<std::string, std::less<>> ids;
        const toml::node *node = table.get("skills");
        if (node == nullptr) return skills;
        const toml::array *array = node->as_array();
        if (array == nullptr) return at(node->source(), "skills must be tables: [[skills]]");
        for (const toml::node &item : *array) {
            const toml::table *one = item.as_table();
            if (one == nullptr) return at(item.source(), "skills must be tables: [[skills]]");
            ENGRAM_TRY(only(*one, kSkillMembers, "skill"));
            AgentSkill skill;
            ENGRAM_ASSIGN(skill.id, text(*one, "id"));
            ENGRAM_ASSIGN(skill.name, text(*one, "name"));
            ENGRAM_ASSIGN(skill.description, text(*one, "description"));
            ENGRAM_ASSIGN(skill.tags, texts(*one, "tags"));
            ENGRAM_ASSIGN(skill.examples, texts(*one, "examples"));
            if (skill.id.empty()) return at(one->source(), "a skill needs an id");
            if (!ids.insert(skill.id).second) {
                return at(one->source(), std::format("there is another skill with the id \"{}\"", skill.id));
            }
            if (skill.name.empty()) skill.name = skill.id;
            skills.push_back(std::move(skill));
        }
        return skills;
    }

    Result<std::string> functions(const toml::table &table, const ReadBeside &read) const {
        const toml::node *node = table.get("functions");
        if (node == nullptr || !node->is_array()) return text_or_file(table, "functions", read);
        if (table.contains("functions_file")) return at(node->source(), "either functions or functions_file, not both");
        std::ostringstream json;
        json << toml::json_formatter(*node->as_array(), toml::format_flags::quote_dates_and_times);
        return json.str();
    }

    Result<void> check_ids(const toml::table &table, std::span<const std::string> ids, std::string_view key) const {
        for (const std::string &id : ids) {
            if (auto valid = validate_agent_id(id); !valid) {
                return at(table.get(key)->source(), std::format("{}: {}", key, valid.error().message));
            }
        }
        return {};
    }

  private:
    const std::string name_;
};

}  // namespace

Result<AgentSpec> parse_role(std::string_view toml, const std::filesystem::path &name, const ReadBeside &read_beside) {
    const Reader reader(name.string());
    if (toml.size() > kMaxRoleBytes) {
        return fail(ErrorCode::invalid_argument, std::format("{}: larger than {} bytes", name.string(), kMaxRoleBytes));
    }
    const toml::parse_result parsed = toml::parse(toml);
    if (parsed.failed()) {
        return reader.at(parsed.error().source(), std::format("not valid TOML: {}", parsed.error().description()));
    }
    const toml::table &table = parsed.table();
    ENGRAM_TRY(reader.only(table, kMembers, "role"));
    AgentSpec spec;
    ENGRAM_ASSIGN(spec.id, reader.text(table, "id"));
    if (spec.id.empty()) spec.id = name.stem().string();
    if (auto valid = validate_agent_id(spec.id); !valid) return std::unexpected(std::move(valid.error()).within(name.string()));
    ENGRAM_ASSIGN(spec.system_prompt, reader.text_or_file(table, "system_prompt", read_beside));
    ENGRAM_ASSIGN(spec.description, reader.text(table, "description"));
    ENGRAM_ASSIGN(spec.tools, reader.functions(table, read_beside));
    ENGRAM_ASSIGN(spec.card.owner, reader.text(table, "owner"));
    ENGRAM_ASSIGN(spec.card.labels, reader.texts(table, "labels"));
    ENGRAM_ASSIGN(spec.card.colleagues, reader.texts(table, "colleagues"));
    ENGRAM_TRY(reader.check_ids(table, spec.card.colleagues, "colleagues"));
    ENGRAM_ASSIGN(spec.card.skills, reader.skills(table));
    ENGRAM_ASSIGN(spec.card.tools, reader.texts(table, "tools"));
    ENGRAM_ASSIGN(spec.card.approvals, reader.texts(table, "approvals"));
    ENGRAM_ASSIGN(spec.card.team, reader.text(table, "team"));
    ENGRAM_ASSIGN(const std::string compaction, reader.text(table, "compaction"));
    if (!compaction.empty()) {
        const auto known = compaction_from_name(compaction);
        if (!known) return reader.at(table.get("compaction")->source(), "compaction must be stop, keep_last or summarise");
        spec.card.compaction = *known;
    }
    ENGRAM_ASSIGN(const std::string retention, reader.text(table, "retention"));
    if (!retention.empty()) {
        const auto known = retention_from_name(retention);
        if (!known) return reader.at(table.get("retention")->source(), "retention must be 5m, 1h, 24h, forever or standard");
        spec.retention = *known;
    }
    return spec;
}

Result<std::vector<AgentSpec>> read_roles(const std::filesystem::path &folder) {
    std::error_code error;
    std::vector<std::filesystem::path> files;
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        if (at->path().extension() != ".toml") continue;
        if (files.size() == kMaxRoles) {
            return fail(ErrorCode::invalid_argument,
                        std::format("{} has more than {} role files (*.toml): put them into several folders, and apply each as a "
                                    "set of its own (--set NAME)",
                                    folder.string(), kMaxRoles));
        }
        files.push_back(at->path());
    }
    if (error) {
        return fail(error == std::errc::no_such_file_or_directory ? ErrorCode::not_found : ErrorCode::io,
                    std::format("can't read the folder {}: {}", folder.string(), error.message()));
    }
    std::ranges::sort(files);
    std::vector<AgentSpec> roles;
    std::map<std::string, std::filesystem::path> seen;
    for (const std::filesystem::path &file : files) {
        ENGRAM_ASSIGN(const std::string text, read_bounded_file(file, kMaxRoleBytes));
        ENGRAM_ASSIGN(AgentSpec role, parse_role(text, file, [&](const std::string &name) {
                          return read_bounded_file(file.parent_path() / name, kMaxRoleBytes);
                      }));
        const auto [other, is_new] = seen.emplace(role.id, file);
        if (!is_new) {
            return fail(ErrorCode::invalid_argument,
                        std::format("{} and {} are both the agent {}", other->second.string(), file.string(), role.id));
        }
        roles.push_back(std::move(role));
    }
    return roles;
}

}  // namespace engram
