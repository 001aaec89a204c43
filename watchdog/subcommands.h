/*
 * subcommands: run, watch, flush and install. Each takes the arguments behind its name and returns
 * the exit code of the process.
 */
#ifndef LASTWORD_WATCHDOG_SUBCOMMANDS_H
#define LASTWORD_WATCHDOG_SUBCOMMANDS_H

/* The shim: runs the agent's command transparently. Exits with its code. */
int subcommand_run(int argc, char **argv);

/* The sidecar: keeps the last output of the agents and prints the reports. Always exits with 0. */
int subcommand_watch(int argc, char **argv);

/* The preStop hook: runs the hook that it wraps, then has a report printed. Exits with the hook's
 * status.
 */
int subcommand_flush(int argc, char **argv);

/* Copies this program into the volume of the agent's container. 0: the copy is there and runs. */
int subcommand_install(int argc, char **argv);

#endif
