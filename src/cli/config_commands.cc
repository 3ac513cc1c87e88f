// engram config ...: show (each setting, its value, where it came from), path, init.
#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <format>

#include "cli/commands.h"
#include "cli/home.h"
#include "cli/humanise.h"
#include "cli/settings_help.h"
#include "config/options.h"

namespace engram::cli {
namespace {

Json value_json(const Setting &setting) {
    return std::visit([](const auto &value) { return Json(value); }, setting.value);
}

Result<ExitCode> show(const Context &context) {
    // What the table alone can't judge (a tenant's name, an adapter's scale) is judged here too.
    ENGRAM_TRY(manager_options(context.settings).transform([](const ManagerOptions &) {}));
    ENGRAM_TRY(turn_settings(context.settings).transform([](const TurnSettings &) {}));
    Json json = Json::object();
    Table table({"SETTING", "VALUE", "FROM"});
    for (const Setting &setting : context.settings.all()) {
        json[std::string(setting.spec->name)] = {
            {"value", value_json(setting)}, {"origin", origin_kind_name(setting.origin.kind)}, {"where", setting.origin.where}};
        table.add({std::string(setting.spec->name), one_line(setting.text(), 60), setting.origin.where});
    }
    context.out.facts(json, table.text());
    return ExitCode::ok;
}

Result<ExitCode> path(const Context &context) {
    const std::string file = context.settings.config_file().string();
    context.out.facts({{"path", file}, {"exists", context.settings.config_file_read()}}, file);
    return ExitCode::ok;
}

Result<void> write_new_file(const std::filesystem::path &file, std::string_view text) {
    const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        const int reason = errno;
        return fail(reason == EEXIST ? ErrorCode::already_exists : ErrorCode::io,
                    std::format("can't make {}: {}", file.string(), std::strerror(reason)));
    }
    const ssize_t n = ::write(fd, text.data(), text.size());
    const int reason = errno;
    if (::close(fd) != 0 || n != static_cast<ssize_t>(text.size())) {
        return fail(ErrorCode::io, std::format("can't write {}: {}", file.string(), std::strerror(reason)));
    }
    return {};
}

Result<ExitCode> init(const Context &context) {
    const std::filesystem::path file = context.settings.config_file();
    ENGRAM_TRY(ensure_home(file.parent_path()));
    ENGRAM_TRY(write_new_file(file, config_template()));
    context.out.facts({{"path", file.string()}}, std::format("wrote {}: every setting, commented out", file.string()));
    return ExitCode::ok;
}

}  // namespace

void add_config_commands(CommandLine &line) {
    CLI::App &group = line.group("config", "settings and where they come from");
    line.command(group, "show", "show each setting, its value, and where it came from",
                 [](Context &context) { return show(context); });
    line.command(group, "path", "print the path of the settings file", [](Context &context) { return path(context); });
    line.command(group, "init", "write a settings file in which every setting is commented out",
                 [](Context &context) { return init(context); });
}

}  // namespace engram::cli
