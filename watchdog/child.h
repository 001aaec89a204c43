/*
 * child: starts the command in the environment that it would have had without the shim.
 *
 * Environment variables, working directory, stdin, limits, signal mask and dispositions are
 * inherited. The command leads a session if the shim does (as the first process of a container),
 * else a process group of its own, in the foreground of the terminal if the shim was. The command
 * does not outlive the shim: to Kubernetes the shim is the container's process.
 */
#ifndef LASTWORD_WATCHDOG_CHILD_H
#define LASTWORD_WATCHDOG_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/error.h"
#include "watchdog/signals.h"

struct child {
	pid_t pid;
	int exec_errno; /* not 0: it could not be executed; the process has been reaped */
	bool terminal;  /* it has the foreground of the terminal, which the shim had */
};

/*
 * Forks and executes; returns when the command runs, or when it is known that it cannot be executed
 * (exec_errno). out and err are the write ends that become its stdout and stderr; -1: inherited.
 * false: the command was not executed, and no process is left.
 */
bool child_start(char **command, const struct signals *signals, int out, int err,
                 struct child *ret_child, struct error *error);

/*
 * Job control with a terminal. When the command is stopped, the shim stops itself too, so that the
 * shell notices; when it is continued, it hands the foreground on. Where the shim leads the session
 * no shell could continue them: a command that Ctrl-Z has stopped is continued at once. (Without
 * the shim it would not have stopped, being in the orphaned process group of the session's leader;
 * signal.c, get_signal.)
 */
void child_stopped(const struct child *child, int signal);
void child_continued(const struct child *child);

/* Gives up the shim's own stdin, unless it is the terminal that the two share: once the command has
 * closed it, whoever writes to it gets the EPIPE that he would have got. */
void child_release_stdin(const struct child *child);

/* Takes the foreground of the terminal back. */
void child_release_terminal(const struct child *child);

/* Executes the command in this process. Returns only if that fails: the exit code, 126 or 127,
 * after logging why.
 */
int child_execute_directly(char **command, const struct signals *signals);

/* 127: there is no such file; 126: it cannot be executed. As shells, env and nohup do. */
int child_exec_code(int exec_errno);

#endif
