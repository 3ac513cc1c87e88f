#include "cli/store_survey.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <unordered_map>

#include "agents/paths.h"
#include "cli/agent_directory.h"
#include "registry/registry.h"
#include "store/part_file.h"

namespace engram::cli {
namespace {

struct SurveyedPart {
    std::uint64_t bytes = 0;
    std::vector<std::size_t> agents;  // indices in StoreSurvey::agents
};
using Parts = std::unordered_map<PartKey, SurveyedPart, PartKeyHash>;

Result<PartHeader> read_header(const PartInfo &part) {
    std::ifstream file(part.path, std::ios::binary);
    std::vector<std::byte> bytes(kPartLengthBytes);
    auto fill = [&](std::size_t from) {
        return static_cast<bool>(
            file.read(reinterpret_cast<char *>(bytes.data() + from), static_cast<std::streamsize>(bytes.size() - from)));
    };
    if (!fill(0)) {
        return fail(ErrorCode::corrupt, "the file is too short");
    }
    ENGRAM_ASSIGN(std::size_t header_bytes, part_header_bytes(bytes, part.file_bytes));
    bytes.resize(header_bytes);
    if (!fill(kPartLengthBytes)) {
        return fail(ErrorCode::corrupt, "the file is too short");
    }
    return parse_part_header(bytes, part.file_bytes);
}

void add_payload(StoreSurvey &survey, const PartInfo &part) {
    const auto header = read_header(part);
    if (!header) {
        ++survey.unreadable_parts;
        return;
    }
    survey.payload_bytes += header->layout.payload_bytes();
    for (std::size_t i = 0; i < kStoredTypes.size(); ++i) {
        survey.payload_bytes_as[i] += payload_bytes_as(header->layout, kStoredTypes[i]);
    }
}

Result<void> add_agents(StoreSurvey &survey, const Registry &registry, Parts &parts) {
    return registry.for_each_manifest([&](const AgentRow &row, const Result<Manifest> &manifest) {
        AgentBytes agent{.tenant = row.key.tenant, .id = row.key.id, .pinned = row.pinned};
        if (manifest) {
            for (const ManifestPart &named : manifest->parts) {
                auto part = parts.find({.id = named.id, .kind = named.kind});
                if (part == parts.end()) {
                    continue;
                }
                auto &owners = part->second.agents;
                if (owners.empty() || owners.back() != survey.agents.size()) {
                    owners.push_back(survey.agents.size());
                    ++agent.parts;
                    agent.bytes += part->second.bytes;
                }
            }
        }
        survey.agents.push_back(std::move(agent));
    });
}

void add_tenants(StoreSurvey &survey, const Parts &parts) {
    std::map<std::string, TenantBytes> tenants;
    for (const AgentBytes &agent : survey.agents) {
        tenants[agent.tenant].tenant = agent.tenant;
        ++tenants[agent.tenant].agents;
    }
    for (const auto &[key, part] : parts) {
        if (part.agents.size() == 1) {
            survey.agents[part.agents.front()].exclusive_bytes += part.bytes;
        }
        if (!part.agents.empty()) {  // identities are salted with the tenant: all owners are of one
            TenantBytes &tenant = tenants[survey.agents[part.agents.front()].tenant];
            ++tenant.parts;
            tenant.bytes += part.bytes;
        }
    }
    for (auto &[name, tenant] : tenants) {
        survey.tenants.push_back(std::move(tenant));
    }
    std::ranges::sort(survey.agents, [](const AgentBytes &a, const AgentBytes &b) {
        return std::tie(a.tenant, a.id) < std::tie(b.tenant, b.id);
    });
}

}  // namespace

std::uint64_t payload_bytes_as(const PartLayout &layout, KvType type) {
    std::uint64_t bytes = 0;
    for (const PartTensor &tensor : layout.tensors) {
        const std::size_t row_elements = tensor.heads * tensor.head_dim;
        const bool converts = layout.kind != PartKind::state && tensor.type != KvType::u8 &&
                              (!kv_type_is_quantised(type) || row_elements % 32 == 0);
        bytes += converts ? tensor.rows * kv_type_bytes(type, row_elements) : tensor.bytes();
    }
    return bytes;
}

Result<StoreSurvey> survey_store(const ManagerOptions &options) {
    StoreSurvey survey;
    survey.stats.disk_budget_bytes = options.storage.disk_budget_bytes;
    survey.stats.memory_budget_bytes = options.storage.memory_budget_bytes;
    std::error_code error;
    if (!std::filesystem::exists(store_path(options.home), error)) {
        return survey;
    }
    ENGRAM_ASSIGN(auto store, BlockStore::open(store_options(options, true), posix_file_system(), system_clock(), nullptr));
    std::unique_ptr<Registry> registry;
    if (std::filesystem::exists(registry_path(options.home), error)) {
        ENGRAM_ASSIGN(registry, Registry::open(registry_path(options.home)));
        ENGRAM_ASSIGN(survey.unreadable_manifests, claim_all(*registry, *store));
    }
    Parts parts;
    for (const PartInfo &part : store->parts()) {
        parts[part.key].bytes = part.file_bytes;
        survey.bytes_by_kind.at(static_cast<std::size_t>(part.key.kind)) += part.file_bytes;
        add_payload(survey, part);
    }
    if (registry != nullptr) {
        ENGRAM_TRY(add_agents(survey, *registry, parts));
    }
    add_tenants(survey, parts);
    survey.stats = store->stats();
    survey.recovery = store->recovery();
    return survey;
}

}  // namespace engram::cli
