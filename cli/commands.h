/*
 * commands: the subcommands of lastword. Each gets its own name as argv[0] and returns the exit
 * status. Messages go to standard error (message.h).
 */
#ifndef LASTWORD_CLI_COMMANDS_H
#define LASTWORD_CLI_COMMANDS_H

enum exit_status { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int command_inject(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_check(int argc, char **argv);
int command_images(int argc, char **argv);
int command_exits(int argc, char **argv);
int command_status(int argc, char **argv);
int command_scan(int argc, char **argv);
int command_groups(int argc, char **argv);
int command_why(int argc, char **argv);
int command_breaker(int argc, char **argv);
int command_completion(int argc, char **argv);
int command_version(int argc, char **argv);
int command_diagnose(int argc, char **argv);

#endif
