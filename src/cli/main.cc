// The engram program: the route table of its commands.
#include "cli/commands.h"

int main(int argc, char **argv) {
    using namespace engram::cli;
    CommandLine line;
    for (auto *add : {add_demo_command,    add_chat_command,   add_run_command,       add_act_command,        add_tools_command,
                      add_serve_command,   add_mcp_command,    add_agent_commands,    add_store_commands,     add_key_commands,
                      add_tenant_commands, add_usage_command,  add_workflow_commands, add_model_commands,     add_bench_commands,
                      add_eval_command,    add_doctor_command, add_config_commands,   add_completion_command, add_version_command,
                      add_help_command}) {
        add(line);
    }
    return line.run(argc, argv);
}
