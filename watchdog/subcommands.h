/*
 * jobs: the four things that the one program does. Each takes the words behind its name and returns
 * the process's exit code.
 */
#ifndef LASTWORD_WATCHDOG_SUBCOMMANDS_H
#define LASTWORD_WATCHDOG_SUBCOMMANDS_H

/* The shim: runs the agent's command as if it were not there. Exits with its code. */
int subcommand_run(int argc, char **argv);

/* The sidecar: keeps the last words and prints the reports. Exits with 0, always. */
int subcommand_watch(int argc, char **argv);

/* The preStop hook: runs the hook it wraps, has the report printed. Exits with the hook's status.
 */
int subcommand_flush(int argc, char **argv);

/* Copies this program for the agent's container. 0: it is there and runs. */
int subcommand_install(int argc, char **argv);

#endif
