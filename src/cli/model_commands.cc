// engram model ...: info (of a GGUF file), synth (writes a synthetic one), list (the geometries that synth knows).
#include <format>

#include "agents/paths.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/humanise.h"
#include "cli/progress.h"
#include "cli/registry_hash_memo.h"
#include "config/options.h"
#include "engine/synth.h"

namespace engram::cli {
namespace {

struct ModelArguments {
    std::string path, geometry, type = "f32", out;
    std::uint32_t seed = 1;
    bool force = false;
};

std::string_view memory_class_of(const Model &model) {
    if (model.is_hybrid()) {
        return "hybrid";
    }
    if (model.is_recurrent()) {
        return "recurrent";
    }
    return model.window() > 0 ? "window" : "attention";
}

Json model_json(const Model &model, const std::string &path) {
    return {{"path", path},
            {"description", model.description()},
            {"architecture", model.architecture()},
            {"parameters", model.parameters()},
            {"bytes", model.bytes()},
            {"layers", model.layers()},
            {"window", model.window()},
            {"memory_class", memory_class_of(model)},
            {"trained_context", model.trained_context()},
            {"vocabulary", model.vocabulary_size()},
            {"chat_template", !model.chat_template().empty()},
            {"content_hash", model.content_hash().hex()},
            {"vocabulary_hash", model.vocabulary_hash().hex()}};
}

std::string model_text(const Model &model, const std::string &path) {
    Table table({"", ""});
    table.add({"file", path});
    table.add({"model", model.description()});
    table.add({"architecture", model.architecture()});
    table.add({"parameters", human_count(model.parameters())});
    table.add({"weights", human_bytes(model.bytes())});
    table.add({"layers", human_count(model.layers())});
    table.add({"memory class", std::string(memory_class_of(model))});
    table.add({"window", model.window() == 0 ? "none" : std::format("{} tokens", human_count(model.window()))});
    table.add({"trained context", std::format("{} tokens", human_count(model.trained_context()))});
    table.add({"vocabulary", std::format("{} tokens", human_count(model.vocabulary_size()))});
    table.add({"chat template", model.chat_template().empty() ? "no" : "yes"});
    table.add({"content hash", model.content_hash().hex()});
    table.add({"vocabulary hash", model.vocabulary_hash().hex()});
    return table.text();
}

Result<ExitCode> info(const ModelArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(ManagerOptions options, manager_options(context.settings));
    if (!arguments.path.empty()) {
        options.model.path = arguments.path;
    }
    ENGRAM_TRY(require_model(options));
    // The memo spares hashing the file again; a home that isn't there is not made just to look at a model.
    std::unique_ptr<Registry> registry;
    std::optional<RegistryHashMemo> memo;
    std::error_code error;
    if (std::filesystem::exists(registry_path(options.home), error)) {
        if (auto opened = Registry::open(registry_path(options.home))) {
            registry = std::move(*opened);
            memo.emplace(*registry);
        }
    }
    Progress progress(context.out, "loading");
    ENGRAM_ASSIGN(auto model, Model::load(options.model, memo ? &*memo : nullptr, [&progress](float share) {
                      progress.update(static_cast<std::uint64_t>(share * 1000), 1000);
                      return true;
                  }));
    progress.finish();
    const std::string path = options.model.path.string();
    context.out.facts(model_json(*model, path), model_text(*model, path));
    return ExitCode::ok;
}

Result<ExitCode> synth(const ModelArguments &arguments, const Context &context) {
    const std::filesystem::path out = std::filesystem::absolute(arguments.out);
    std::error_code error;
    if (!arguments.force && std::filesystem::exists(out, error)) {
        return fail(ErrorCode::already_exists, std::format("{} is already there; --force overwrites it", out.string()));
    }
    Progress progress(context.out, "writing");
    ENGRAM_TRY(
        write_synthetic_model({.geometry = arguments.geometry, .type = arguments.type, .seed = arguments.seed}, out,
                              [&progress](float share) { progress.update(static_cast<std::uint64_t>(share * 1000), 1000); }));
    progress.finish();
    const std::uintmax_t bytes = std::filesystem::file_size(out, error);
    context.out.facts({{"path", out.string()},
                       {"geometry", arguments.geometry},
                       {"type", arguments.type},
                       {"seed", arguments.seed},
                       {"bytes", bytes}},
                      std::format("wrote {} ({}, {}, {}); its weights are random", out.string(), arguments.geometry,
                                  arguments.type, human_bytes(bytes)));
    return ExitCode::ok;
}

Result<ExitCode> list(const Context &context) {
    Json json = Json::array();
    Table table({"GEOMETRY", "ARCHITECTURE", "DESCRIPTION"});
    for (const SynthGeometry &geometry : synth_geometries()) {
        json.push_back(
            {{"geometry", geometry.name}, {"architecture", geometry.architecture}, {"description", geometry.description}});
        table.add({std::string(geometry.name), std::string(geometry.architecture), std::string(geometry.description)});
    }
    context.out.facts(json, table.text());
    return ExitCode::ok;
}

}  // namespace

void add_model_commands(CommandLine &line) {
    CLI::App &group = line.group("model", "look at models, and write synthetic ones");
    auto arguments = argument<ModelArguments>();

    CLI::App &info_app = line.command(group, "info", "show what is known about a model file",
                                      [arguments](Context &context) { return info(*arguments, context); });
    info_app.add_option("PATH", arguments->path, "a GGUF file; default: the --model setting, or the installed model");

    CLI::App &synth_app = line.command(group, "synth", "write a model with random weights, for tests and benchmarks",
                                       [arguments](Context &context) { return synth(*arguments, context); });
    std::vector<std::string> names;
    for (const SynthGeometry &geometry : synth_geometries()) {
        names.emplace_back(geometry.name);
    }
    synth_app.add_option("OUT", arguments->out, "the file to write")->required();
    synth_app.add_option("--geometry", arguments->geometry, "which shape; `engram model list` shows them")
        ->type_name("NAME")
        ->required()
        ->check(CLI::IsMember(names));
    synth_app.add_option("--type", arguments->type, "type of the weights [f32]")
        ->type_name("TYPE")
        ->check(CLI::IsMember({"f32", "f16", "q8_0", "q4_0"}));
    synth_app.add_option("--seed", arguments->seed, "seed of the weights [1]")->type_name("N");
    synth_app.add_flag("--force", arguments->force, "overwrite the file");

    line.command(group, "list", "list the geometries that synth knows", [](Context &context) { return list(context); });
}

}  // namespace engram::cli
