// engram doctor: is everything there that the program needs, and in order?
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <filesystem>
#include <format>

#include "agents/paths.h"
#include "cli/commands.h"
#include "cli/humanise.h"
#include "cli/store_survey.h"
#include "cli/tenant_files.h"
#include "cli/version.h"
#include "config/installed_file.h"
#include "config/options.h"
#include "engine/huge_pages.h"
#include "engine/system_info.h"
#include "registry/registry.h"
#include "tenants/tenants.h"

namespace engram::cli {
namespace {

constexpr std::uint64_t kLowDiskBytes = 1ULL << 30;

enum class Verdict : std::uint8_t { good, attention, bad };

struct Finding {
    std::string subject;
    Verdict verdict = Verdict::good;
    std::string sentence;
};
using Findings = std::vector<Finding>;

std::string_view verdict_name(Verdict verdict) {
    constexpr std::array<std::string_view, 3> kNames{"ok", "attention", "bad"};
    return kNames.at(static_cast<std::size_t>(verdict));
}

void check_engine(const SystemInfo &info, Findings &findings) {
    const bool cpu = std::ranges::contains(info.devices, "cpu", &DeviceInfo::kind);
    findings.push_back(
        {"engine", cpu ? Verdict::good : Verdict::bad,
         cpu ? std::format("libllama {}, ggml {}, {} devices", info.llama_version, info.ggml_version, info.devices.size())
             : "ggml found no processor backend; reinstall the packages of libllama and ggml"});
}

// Nothing is wrong without them, but answers took nearly twice as long where it was measured (docs/adr/0020-huge-pages.md).
void check_memory(const SystemInfo &info, Findings &findings) {
    if (info.huge_pages.empty()) {
        findings.push_back({"memory", Verdict::good, "this system has no huge pages to give"});
    } else if (info.huge_pages == "never") {
        findings.push_back({"memory", Verdict::attention,
                            std::format("huge pages are switched off, which makes answers slower, above all in virtual machines; "
                                        "run as root: echo madvise > {}",
                                        kHugePageSetting)});
    } else {
        findings.push_back({"memory", Verdict::good, std::format("huge pages for models and memories ({})", info.huge_pages)});
    }
}

void check_home(const std::filesystem::path &home, Findings &findings) {
    struct stat status{};
    if (::stat(home.c_str(), &status) != 0) {
        findings.push_back(
            {"home", Verdict::good, std::format("{} isn't there yet; it is made when it is needed", home.string())});
        return;
    }
    if (!S_ISDIR(status.st_mode)) {
        findings.push_back({"home", Verdict::bad, std::format("{} isn't a folder", home.string())});
        return;
    }
    if (::access(home.c_str(), R_OK | W_OK | X_OK) != 0) {
        findings.push_back({"home", Verdict::bad, std::format("{} can't be read and written by this user", home.string())});
        return;
    }
    const unsigned mode = status.st_mode & 0777U;
    if ((mode & 077U) != 0) {
        findings.push_back(
            {"home", Verdict::attention,
             std::format("{} is open to others (mode {:o}); run: chmod 700 {}", home.string(), mode, home.string())});
    } else {
        findings.push_back({"home", Verdict::good, std::format("{}, private (mode {:o})", home.string(), mode)});
    }
}

void check_space(const ManagerOptions &options, const StoreSurvey *survey, std::uint64_t &free_bytes, Findings &findings) {
    std::filesystem::path place = options.home;
    std::error_code error;
    while (!std::filesystem::exists(place, error) && place.has_relative_path()) {
        place = place.parent_path();
    }
    auto free = posix_file_system().free_bytes(place);
    if (!free) {
        findings.push_back({"disk space", Verdict::bad, free.error().message});
        return;
    }
    free_bytes = *free;
    const std::uint64_t used = survey == nullptr ? 0 : survey->stats.disk_bytes;
    const std::uint64_t budget = options.storage.disk_budget_bytes;
    const std::uint64_t wanted = budget > used ? budget - used : 0;
    if (*free < kLowDiskBytes) {
        findings.push_back({"disk space", Verdict::bad, std::format("only {} are free", human_bytes(*free))});
    } else if (*free < wanted) {
        findings.push_back({"disk space", Verdict::attention,
                            std::format("{} are free, less than the {} that the disk budget still allows; lower --disk-budget",
                                        human_bytes(*free), human_bytes(wanted))});
    } else {
        findings.push_back(
            {"disk space", Verdict::good, std::format("{} free, budget {}", human_bytes(*free), human_bytes(budget))});
    }
}

void check_store(const Result<StoreSurvey> &survey, Findings &findings) {
    if (!survey) {
        findings.push_back({"store", Verdict::bad, survey.error().message});
        return;
    }
    const StoreStats &stats = survey->stats;
    std::string sentence = std::format("{} in {} parts, {} agents", human_bytes(stats.disk_bytes), human_count(stats.disk_parts),
                                       human_count(survey->agents.size()));
    Verdict verdict = Verdict::good;
    if (!survey->unreadable_manifests.empty() || survey->unreadable_parts > 0) {
        verdict = Verdict::bad;
        sentence += std::format("; {} manifests and {} parts can't be read: run `engram store verify`",
                                survey->unreadable_manifests.size(), survey->unreadable_parts);
    } else if (stats.quarantine_parts > 0) {
        verdict = Verdict::attention;
        sentence += std::format("; {} parts are in quarantine: see `engram store quarantine list`", stats.quarantine_parts);
    }
    findings.push_back({"store", verdict, std::move(sentence)});
}

void check_registry(const std::filesystem::path &home, Findings &findings) {
    std::error_code error;
    if (!std::filesystem::exists(registry_path(home), error)) {
        findings.push_back({"registry", Verdict::good, "not made yet"});
        return;
    }
    auto problems = Registry::open(registry_path(home)).and_then([](const std::unique_ptr<Registry> &registry) {
        return registry->integrity_check();
    });
    if (!problems) {
        findings.push_back({"registry", Verdict::bad, problems.error().message});
    } else if (!problems->empty()) {
        findings.push_back({"registry", Verdict::bad, problems->front()});
    } else {
        findings.push_back({"registry", Verdict::good, "sound"});
    }
}

void check_tenants(const std::filesystem::path &home, Findings &findings) {
    const auto tables = tenants_in(home);
    if (!tables) {
        findings.push_back({"tenants", Verdict::bad, tables.error().message});
    } else if (!tables->problems.empty()) {
        for (const std::string &problem : tables->problems) findings.push_back({"tenants", Verdict::bad, problem});
    } else {
        findings.push_back(
            {"tenants", Verdict::good,
             std::format("{} tenants, {} keys", human_count(tables->tenants.size()), human_count(tables->keys.size()))});
    }
}

void check_ledger(const std::filesystem::path &home, Findings &findings) {
    std::error_code error;
    if (!std::filesystem::exists(ledger_path(home), error)) {
        findings.push_back({"ledger", Verdict::good, "not made yet"});
        return;
    }
    const auto read = Ledger::open(ledger_path(home), system_clock()).and_then([](const std::unique_ptr<Ledger> &ledger) {
        return ledger->query({.columns = {.day = true, .tenant = false, .agent = false}});
    });
    findings.push_back({"ledger", read ? Verdict::good : Verdict::bad,
                        read ? std::format("{} days", human_count(read->size())) : read.error().message});
}

void check_model(const ManagerOptions &options, Findings &findings) {
    const std::string path = options.model.path.string();
    if (const auto installed = installed_file(kInstalledModel); path.empty() && installed) {
        findings.push_back({"model", Verdict::good, std::format("{}, the installed one (none is set)", installed->string())});
    } else if (path.empty()) {
        findings.push_back({"model", Verdict::attention,
                            "none is set; use --model PATH, ENGRAM_MODEL, or model = \"...\" in the settings file"});
    } else if (::access(path.c_str(), R_OK) != 0) {
        findings.push_back({"model", Verdict::bad, std::format("{} can't be read", path)});
    } else {
        findings.push_back({"model", Verdict::good, path});
    }
}

Json doctor_json(const SystemInfo &info, const Findings &findings, Verdict worst, std::uint64_t free_bytes) {
    Json devices = Json::array();
    for (const DeviceInfo &device : info.devices) {
        devices.push_back({{"name", device.name},
                           {"description", device.description},
                           {"kind", device.kind},
                           {"backend", device.backend},
                           {"memory_free_bytes", device.memory_free},
                           {"memory_total_bytes", device.memory_total}});
    }
    Json features = Json::object();
    for (const auto &[name, value] : info.cpu_features) {
        features[name] = value;
    }
    Json checks = Json::array();
    for (const Finding &finding : findings) {
        checks.push_back({{"check", finding.subject}, {"verdict", verdict_name(finding.verdict)}, {"message", finding.sentence}});
    }
    return {{"verdict", verdict_name(worst)},
            {"checks", checks},
            {"versions",
             {{"engram", kVersion},
              {"libllama", info.llama_version},
              {"ggml", info.ggml_version},
              {"ggml_commit", info.ggml_commit}}},
            {"processors", info.processors},
            {"huge_pages", info.huge_pages},
            {"gpu_offload", info.gpu_offload},
            {"devices", devices},
            {"cpu_features", features},
            {"free_disk_bytes", free_bytes}};
}

std::string doctor_text(const SystemInfo &info, const Findings &findings, const Output &out) {
    Table devices({"DEVICE", "KIND", ">MEMORY", ">FREE", "DESCRIPTION"});
    for (const DeviceInfo &device : info.devices) {
        devices.add({device.name, device.kind, human_bytes(device.memory_total), human_bytes(device.memory_free),
                     one_line(device.description, 60)});
    }
    std::string features;
    for (const auto &[name, value] : info.cpu_features) {
        if (value != "0") {
            features += (features.empty() ? "" : " ") + name + (value == "1" ? "" : "=" + value);
        }
    }
    std::string text =
        std::format("engram {}, libllama {}, ggml {} ({})\n{} processors: {}\n\n{}\n", kVersion, info.llama_version,
                    info.ggml_version, info.ggml_commit, info.processors, features, devices.text());
    std::size_t widest = 0;
    for (const Finding &finding : findings) {
        widest = std::max(widest, finding.subject.size());
    }
    for (const Finding &finding : findings) {
        constexpr std::array kStyles{Style::green, Style::yellow, Style::red};
        const std::string name = std::format("{:<9}", verdict_name(finding.verdict));
        text += std::format("{}  {:<{}}  {}\n", out.styled(name, kStyles.at(static_cast<std::size_t>(finding.verdict))),
                            finding.subject, widest, printable(finding.sentence));
    }
    return text;
}

Result<ExitCode> doctor(const Context &context) {
    ENGRAM_ASSIGN(ManagerOptions options, manager_options(context.settings));
    const SystemInfo info = system_info();
    const Result<StoreSurvey> survey = survey_store(options);
    std::uint64_t free_bytes = 0;
    Findings findings;
    check_engine(info, findings);
    check_memory(info, findings);
    check_home(options.home, findings);
    check_space(options, survey ? &*survey : nullptr, free_bytes, findings);
    check_store(survey, findings);
    check_registry(options.home, findings);
    check_tenants(options.home, findings);
    check_ledger(options.home, findings);
    check_model(options, findings);
    const Verdict worst = std::ranges::max_element(findings, {}, &Finding::verdict)->verdict;
    context.out.facts(doctor_json(info, findings, worst, free_bytes), doctor_text(info, findings, context.out));
    return worst == Verdict::bad ? ExitCode::corrupt : ExitCode::ok;
}

}  // namespace

void add_doctor_command(CommandLine &line) {
    line.command("doctor", "check the engine, its memory, the home folder, the store, the registry and the tenants",
                 [](Context &context) { return doctor(context); });
}

}  // namespace engram::cli
