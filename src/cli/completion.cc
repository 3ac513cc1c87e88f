#include "cli/completion.h"

#include <format>
#include <functional>
#include <vector>

namespace engram::cli {
namespace {

// One command as the scripts need it.
struct Node {
    std::string path;                                           // "engram agent create"
    std::vector<std::pair<std::string, std::string>> commands;  // name, help
    struct Flag {
        std::string name, help;  // "--json"
        bool takes_value = false, takes_path = false;
    };
    std::vector<Flag> flags;
    bool takes_agent = false, takes_path = false;  // among its positional arguments
};

bool is_path(const std::string &type) { return type.starts_with("PATH") || type == "FILE" || type == "OUT"; }

std::vector<Node::Flag> flags_of(const CLI::App &app) {
    std::vector<Node::Flag> flags;
    for (const CLI::Option *option : app.get_options()) {
        for (const std::string &name : option->get_lnames()) {
            const bool takes_value = option->get_expected_max() > 0 && option->get_items_expected_max() > 0;
            flags.push_back({.name = "--" + name,
                             .help = option->get_description(),
                             .takes_value = takes_value,
                             .takes_path = takes_value && is_path(option->get_type_name())});
        }
    }
    return flags;
}

std::vector<Node> nodes_of(const CLI::App &root) {
    std::vector<Node> nodes;
    const std::vector<Node::Flag> everywhere = flags_of(root);
    const std::function<void(const CLI::App &, const std::string &)> visit = [&](const CLI::App &app, const std::string &path) {
        Node node{.path = path, .commands = {}, .flags = flags_of(app)};
        if (&app != &root) {
            for (const Node::Flag &flag : everywhere) {
                if (flag.name != "--help" && flag.name != "--version") {
                    node.flags.push_back(flag);
                }
            }
        }
        for (const CLI::Option *option : app.get_options()) {
            node.takes_agent |= option->get_positional() && option->get_name() == "AGENT";
            node.takes_path |= option->get_positional() && is_path(option->get_name());
        }
        const auto subcommands = app.get_subcommands([](const CLI::App *) { return true; });
        for (const CLI::App *sub : subcommands) {
            node.commands.emplace_back(sub->get_name(), sub->get_description());
        }
        nodes.push_back(std::move(node));
        for (const CLI::App *sub : subcommands) {
            visit(*sub, path + " " + sub->get_name());
        }
    };
    visit(root, "engram");
    return nodes;
}

// In single quotes for bash, zsh and fish alike; fish knows no other escapes there than these two characters'.
std::string single_quoted(std::string_view text, bool fish) {
    std::string result = "'";
    for (char c : text) {
        if (c == '\'') {
            result += fish ? "\\'" : "'\\''";
        } else if (c == '\\' && fish) {
            result += "\\\\";
        } else {
            result += c == '\n' ? ' ' : c;
        }
    }
    return result + "'";
}

std::string join(const std::vector<std::string> &words) {
    std::string text;
    for (const std::string &word : words) {
        text += (text.empty() ? "" : " ") + word;
    }
    return text;
}

// Tables that the bash and the zsh function share: words of each command, flags with values, what positional arguments are.
std::string shell_tables(const std::vector<Node> &nodes, bool zsh) {
    std::string commands;
    std::string flags;
    std::string values;
    std::string paths;
    std::string agents;
    std::string files;
    for (const Node &node : nodes) {
        std::vector<std::string> names;
        std::vector<std::string> flag_names;
        std::vector<std::string> value_names;
        std::vector<std::string> path_names;
        for (const auto &[name, help] : node.commands) {
            names.push_back(name);
        }
        for (const Node::Flag &flag : node.flags) {
            flag_names.push_back(flag.name);
            if (flag.takes_value) {
                (flag.takes_path ? path_names : value_names).push_back(flag.name);
            }
        }
        const std::string key = single_quoted(node.path, false);
        auto add = [&key, zsh](std::string &table, const std::vector<std::string> &words) {
            if (!words.empty()) {
                const std::string value = single_quoted(join(words), false);
                table += zsh ? std::format("    {} {}\n", key, value) : std::format("    [{}]={}\n", key, value);
            }
        };
        add(commands, names);
        add(flags, flag_names);
        add(values, value_names);
        add(paths, path_names);
        add(agents, node.takes_agent ? std::vector<std::string>{"1"} : std::vector<std::string>{});
        add(files, node.takes_path ? std::vector<std::string>{"1"} : std::vector<std::string>{});
    }
    return std::format(
        "{0} _engram_commands\n_engram_commands=(\n{1})\n{0} _engram_flags\n_engram_flags=(\n{2})\n"
        "{0} _engram_values\n_engram_values=(\n{3})\n{0} _engram_paths\n_engram_paths=(\n{4})\n"
        "{0} _engram_agents\n_engram_agents=(\n{5})\n{0} _engram_files\n_engram_files=(\n{6})\n",
        zsh ? "typeset -gA" : "declare -gA", commands, flags, values, paths, agents, files);
}

constexpr std::string_view kBashFunction = R"sh(
_engram() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=engram word i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        [[ -n $word && " ${_engram_commands[$command]} " == *" $word "* ]] && command="$command $word"
    done
    COMPREPLY=()
    if [[ " ${_engram_paths[$command]} " == *" $previous "* ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    elif [[ " ${_engram_values[$command]} " == *" $previous "* ]]; then
        return 0
    elif [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${_engram_flags[$command]}" -- "$current")
    elif [[ -n ${_engram_commands[$command]} ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${_engram_commands[$command]}" -- "$current")
    else
        [[ -n ${_engram_agents[$command]} ]] && mapfile -t COMPREPLY < <(compgen -W "$(engram agent list --ids 2>/dev/null)" -- "$current")
        if [[ -n ${_engram_files[$command]} ]]; then
            compopt -o filenames 2>/dev/null
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current")
        fi
    fi
    return 0
}
complete -F _engram engram
)sh";

constexpr std::string_view kZshFunction = R"sh(
_engram() {
    local current=${words[CURRENT]} previous=${words[CURRENT-1]} command=engram word
    for word in ${words[2,CURRENT-1]}; do
        [[ -n $word && " ${_engram_commands[$command]} " == *" $word "* ]] && command="$command $word"
    done
    if [[ " ${_engram_paths[$command]} " == *" $previous "* ]]; then
        _files
    elif [[ " ${_engram_values[$command]} " == *" $previous "* ]]; then
        return 0
    elif [[ $current == -* ]]; then
        compadd -- ${=_engram_flags[$command]}
    elif [[ -n ${_engram_commands[$command]} ]]; then
        compadd -- ${=_engram_commands[$command]}
    else
        [[ -n ${_engram_agents[$command]} ]] && compadd -- ${(f)"$(engram agent list --ids 2>/dev/null)"}
        [[ -n ${_engram_files[$command]} ]] && _files
    fi
    return 0
}
compdef _engram engram
)sh";

constexpr std::string_view kFishFunction = R"sh(# fish completion for engram, made by `engram completion fish`
function __engram_path
    set -l path engram
    for word in (commandline -opc)[2..-1]
        if contains -- "$path $word" $__engram_paths
            set path "$path $word"
        end
    end
    echo $path
end
function __engram_at
    test (__engram_path) = "$argv"
end
complete -c engram -f
)sh";

}  // namespace

std::string bash_completion(const CLI::App &app) {
    return "# bash completion for engram, made by `engram completion bash`\n" + shell_tables(nodes_of(app), false) +
           std::string(kBashFunction);
}

std::string zsh_completion(const CLI::App &app) {
    return "#compdef engram\n# zsh completion for engram, made by `engram completion zsh`\n" + shell_tables(nodes_of(app), true) +
           std::string(kZshFunction);
}

std::string fish_completion(const CLI::App &app) {
    const std::vector<Node> nodes = nodes_of(app);
    std::vector<std::string> paths;
    for (const Node &node : nodes) {
        paths.push_back(single_quoted(node.path, true));
    }
    std::string text = std::format("{}set -g __engram_paths {}\n", kFishFunction, join(paths));
    for (const Node &node : nodes) {
        const std::string when = std::format("complete -c engram -n {}", single_quoted("__engram_at " + node.path, true));
        for (const auto &[name, help] : node.commands) {
            text += std::format("{} -a {} -d {}\n", when, name, single_quoted(help, true));
        }
        for (const Node::Flag &flag : node.flags) {
            const char *value = flag.takes_path ? " -r -F" : flag.takes_value ? " -x" : "";
            text += std::format("{} -l {}{} -d {}\n", when, flag.name.substr(2), value, single_quoted(flag.help, true));
        }
        if (node.takes_agent) {
            text += std::format("{} -a '(engram agent list --ids 2>/dev/null)' -d agent\n", when);
        }
        if (node.takes_path) {
            text += when + " -F\n";
        }
    }
    return text;
}

}  // namespace engram::cli
