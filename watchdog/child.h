/*
 * child: starts the command so that it finds the world as it would have without us.
 *
 * Environment, working directory, stdin, limits, signal mask and dispositions are inherited as they
 * are. It leads a session (where the shim does, as the first process of a container), or at least a
 * process group of its own, in the foreground of the terminal if the shim was. It does not outlive
 * the shim: whoever kills the shim kills what the pod knows as the container's process.
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
	bool terminal;  /* it has the terminal's foreground, which was ours */
};

/*
 * Forks and executes; returns when the command runs, or is known not to. out and err are the write
 * ends that become its stdout and stderr, -1: inherited. false: it was not tried, nothing is left
 * of the attempt.
 */
bool child_start(char **command, const struct signals *signals, int out, int err,
                 struct child *ret_child, struct error *error);

/*
 * Stop and continue of a job with the terminal: stops the shim too, so that its shell notices, and
 * passes on the foreground when it is continued. Where the shim leads the session there is no shell
 * to continue them: what Ctrl-Z has stopped goes on at once. Unwrapped it would not have stopped,
 * in the orphaned process group of the session's leader (signal.c, get_signal).
 */
void child_stopped(const struct child *child, int signal);
void child_continued(const struct child *child);

/* Takes the terminal back. */
void child_release_terminal(const struct child *child);

/* Becomes the command; returns only when that fails: the exit code, 126 or 127, after saying why.
 */
int child_execute_directly(char **command, const struct signals *signals);

/* 127: there is no such file; 126: it is there and cannot be executed. As shells, env and nohup. */
int child_exec_code(int exec_errno);

#endif
