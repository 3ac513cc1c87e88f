#include "bench/trace_tools.h"

#include <array>
#include <format>
#include <map>
#include <string_view>

namespace engram::bench {

namespace {

struct Tool {
    std::string_view name, about;
};

constexpr std::array<Tool, kMostTraceTools> kTools{{{"apply_patch", "Changes files by a patch."},
                                                    {"ask_user", "Asks the user a question."},
                                                    {"bash", "Runs a command."},
                                                    {"delegate", "Gives a task to an agent."},
                                                    {"edit_file", "Replaces a text in a file."},
                                                    {"fetch_url", "Reads a page."},
                                                    {"find_files", "Finds files by name."},
                                                    {"git_diff", "Shows what has changed."},
                                                    {"git_log", "Shows commits."},
                                                    {"list_folder", "Lists a folder."},
                                                    {"move_file", "Moves a file."},
                                                    {"notebook_edit", "Changes a cell."},
                                                    {"open_plan", "Shows the plan."},
                                                    {"read_file", "Reads a file."},
                                                    {"run_tests", "Runs the tests."},
                                                    {"search_text", "Finds a text in files."},
                                                    {"search_web", "Finds pages."},
                                                    {"todo_read", "Shows what is left."},
                                                    {"todo_write", "Writes what is left."},
                                                    {"write_file", "Writes a file."}}};

OrderedJson typed(std::string_view type) {
    OrderedJson json = OrderedJson::object();
    json["type"] = type;
    return json;
}

}  // namespace

OrderedJson trace_tools(std::span<const std::string> more) {
    OrderedJson tools = OrderedJson::array();
    for (std::size_t i = 0; i < more.size() && i < kTools.size(); ++i) {
        OrderedJson parameters = typed("object");
        parameters["properties"]["path"] = typed("string");
        parameters["properties"]["limit"] = typed("integer");
        parameters["properties"]["reason"] = typed("string");
        parameters["required"] = OrderedJson::array();
        parameters["required"].push_back("path");
        OrderedJson tool = typed("function");
        tool["function"]["name"] = kTools[i].name;
        tool["function"]["description"] = std::string(kTools[i].about) + (more[i].empty() ? "" : " " + more[i]);
        tool["function"]["parameters"] = std::move(parameters);
        tools.push_back(std::move(tool));
    }
    return tools;
}

OrderedJson trace_call(const OrderedJson &tools, std::uint32_t number, const std::string &result) {
    OrderedJson arguments = OrderedJson::object();
    arguments["path"] = std::format("src/part_{}.cc", number);
    arguments["limit"] = 40 + number;
    arguments["reason"] = std::format("step {} of the plan", number);
    const std::string id = std::format("call_{:06}", number);
    OrderedJson call = OrderedJson::object();
    call["id"] = id;
    call["type"] = "function";
    call["function"]["name"] = tools[number * 7 % tools.size()]["function"]["name"];
    call["function"]["arguments"] = arguments.dump();
    OrderedJson answer = OrderedJson::object();
    answer["role"] = "assistant";
    answer["content"] = "";
    answer["tool_calls"] = OrderedJson::array();
    answer["tool_calls"].push_back(std::move(call));
    OrderedJson told = OrderedJson::object();
    told["role"] = "tool";
    told["tool_call_id"] = id;
    told["content"] = result;
    OrderedJson messages = OrderedJson::array();
    messages.push_back(std::move(answer));
    messages.push_back(std::move(told));
    return messages;
}

void write_calls_anew(OrderedJson &messages) {
    for (OrderedJson &message : messages) {
        if (!message.contains("tool_calls")) continue;
        for (OrderedJson &call : message["tool_calls"]) {
            OrderedJson &arguments = call["function"]["arguments"];
            const OrderedJson parsed = OrderedJson::parse(arguments.get<std::string>(), nullptr, false);
            if (!parsed.is_object()) continue;
            std::map<std::string, OrderedJson> by_name;
            for (const auto &[name, value] : parsed.items()) by_name.emplace(name, value);
            OrderedJson anew = OrderedJson::object();
            for (const auto &[name, value] : by_name) anew[name] = value;
            arguments = anew.dump();
        }
    }
}

}  // namespace engram::bench
