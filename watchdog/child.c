#include "watchdog/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watchdog/stderr_log.h"

/* What the child sends if it cannot execute the command. */
struct failure {
	int number;   /* errno */
	bool in_exec; /* in exec; else before it */
};

int child_exec_code(int exec_errno)
{
	return exec_errno == ENOENT ? 127 : 126;
}

static bool has_foreground(void)
{
	return isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

/* In the child. If the parent ended before prctl(), getppid() shows it. Other failures do not keep
 * the command from running: it then lacks a session, a group or the terminal, or its output does
 * not go through the shim. */
static bool prepare(const struct child *child, const struct signals *signals, pid_t parent, int out,
                    int err)
{
	bool leads_session = getsid(0) == parent;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pid_t now = getppid();
	if (now > 0 && now != parent)
		return false;
	if (child->terminal) {
		if (setpgid(0, 0) == 0)
			tcsetpgrp(STDIN_FILENO, getpid());
	} else if (leads_session) {
		setsid();
	} else {
		setpgid(0, 0);
	}
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	if (err >= 0)
		dup2(err, STDERR_FILENO);
	signals_restore(signals);
	return true;
}

/*
 * tini warns on stderr if it is neither process 1 nor told to be a subreaper. This variable tells
 * it (tini's README, "Subreaping"), and orphans go to it as they would if it were process 1.
 */
static void prepare_tini(const char *command)
{
	static const char *const names[] = {"tini", "tini-static", "docker-init"};
	static char variable[] = "TINI_SUBREAPER=";
	const char *slash = strrchr(command, '/');
	const char *name = slash == NULL ? command : slash + 1;
	bool is_tini = false;
	size_t count = 0;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		is_tini |= strcmp(name, names[i]) == 0;
	if (!is_tini || getenv("TINI_SUBREAPER") != NULL)
		return;
	while (environ[count] != NULL)
		count++;
	char **added = malloc((count + 2) * sizeof *added);
	if (added == NULL)
		return;
	memcpy(added, environ, count * sizeof *added);
	added[count] = variable;
	added[count + 1] = NULL;
	environ = added;
}

static _Noreturn void execute_in_child(char **command, const struct child *child,
                                       const struct signals *signals, pid_t parent, int out,
                                       int err, int status)
{
	struct failure failure = {.in_exec = false};
	if (prepare(child, signals, parent, out, err)) {
		failure.in_exec = true;
		prepare_tini(command[0]);
		execvp(command[0], command);
	}
	failure.number = errno;
	if (write(status, &failure, sizeof failure) < 0 && !failure.in_exec)
		_exit(125);
	_exit(child_exec_code(failure.number));
}

/* Waits until exec closes the pipe, or the child sends why there was no exec. */
static bool failed_to_start(int status, struct failure *ret_failure)
{
	ssize_t got;
	do
		got = read(status, ret_failure, sizeof *ret_failure);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)sizeof *ret_failure;
}

static void wait_for(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

bool child_start(char **command, const struct signals *signals, int out, int err,
                 struct child *ret_child, struct error *error)
{
	struct child child = {.terminal = has_foreground()};
	struct failure failure = {0};
	int status[2];
	pid_t self = getpid();
	if (pipe2(status, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "pipe2");
	child.pid = fork();
	if (child.pid == 0)
		execute_in_child(command, &child, signals, self, out, err, status[1]);
	int number = errno;
	signals_hold();
	/* If even close(2) is denied the pipe would never end: assume that the command runs. */
	bool closed = close(status[1]) == 0;
	bool failed = child.pid > 0 && closed && failed_to_start(status[0], &failure);
	close(status[0]);
	if (child.pid < 0)
		return error_set_errno(error, number, "fork");
	if (failed) {
		wait_for(child.pid);
		child_release_terminal(&child);
		if (!failure.in_exec)
			return error_set_errno(error, failure.number, "preparing the command");
		child.exec_errno = failure.number;
	}
	*ret_child = child;
	return true;
}

void child_stopped(const struct child *child, int signal)
{
	if (!child->terminal)
		return;
	if (getsid(0) != getpid())
		kill(getpid(), SIGSTOP);
	else if (signal == SIGTSTP)
		kill(-child->pid, SIGCONT);
}

void child_continued(const struct child *child)
{
	if (!child->terminal)
		return;
	tcsetpgrp(STDIN_FILENO, child->pid);
	kill(-child->pid, SIGCONT);
}

void child_release_stdin(const struct child *child)
{
	if (child->terminal)
		return;
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (nothing < 0)
		return;
	dup2(nothing, STDIN_FILENO);
	close(nothing);
}

void child_release_terminal(const struct child *child)
{
	if (child->terminal)
		tcsetpgrp(STDIN_FILENO, getpgrp());
}

int child_execute_directly(char **command, const struct signals *signals)
{
	if (signals != NULL)
		signals_restore(signals);
	execvp(command[0], command);
	int number = errno;
	stderr_log_errno(number, "cannot execute %.200s", command[0]);
	return child_exec_code(number);
}
