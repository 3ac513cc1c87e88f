// The route table's entries: each function adds the commands of one file. main.cc calls them in the order of the help text.
//
// To add a file of commands (demo.cc, bench_resume.cc, ...): declare its function here, define it there with
// CommandLine::command(), and add its line to the table at the end of main.cc. A handler returns the exit status or an Error.
#pragma once

#include "cli/command_line.h"

namespace engram::cli {

void add_demo_command(CommandLine &line);
void add_chat_command(CommandLine &line);
void add_run_command(CommandLine &line);
void add_act_command(CommandLine &line);
void add_tools_command(CommandLine &line);
void add_serve_command(CommandLine &line);
void add_mcp_command(CommandLine &line);
void add_agent_commands(CommandLine &line);
void add_role_commands(CommandLine &line, CLI::App &group);  // of the group `agent`
void add_store_commands(CommandLine &line);
void add_key_commands(CommandLine &line);
void add_tenant_commands(CommandLine &line);
void add_usage_command(CommandLine &line);
void add_workflow_commands(CommandLine &line);
void add_model_commands(CommandLine &line);
void add_bench_commands(CommandLine &line);
void add_eval_command(CommandLine &line);
void add_doctor_command(CommandLine &line);
void add_config_commands(CommandLine &line);
void add_completion_command(CommandLine &line);
void add_version_command(CommandLine &line);
void add_help_command(CommandLine &line);

}  // namespace engram::cli
