/*
 * install: copies this program into the volume of the agent's container, in the postStart hook of a
 * native sidecar or in an init container. A hook that hangs keeps its pod from being deleted, so an
 * alarm ends this one.
 */
#include "watchdog/subcommands.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "watchdog/stderr_log.h"

#define SELF         "/proc/self/exe"
#define SECONDS_MAX  3
#define PIECE        ((size_t)16 * 1024)
#define PATH_MAX_OWN 4096

/* A handler: process 1 ignores signals with default action. */
static void on_alarm(int number)
{
	static const char line[] = "lastword: install: gave up after 3 s\n";
	(void)number;
	ssize_t written = write(STDERR_FILENO, line, sizeof line - 1);
	_exit(written < 0 ? 2 : 1);
}

/* read(2) until length bytes are there or the file ends. */
static ssize_t read_fully(int fd, char *bytes, size_t length)
{
	size_t used = 0;
	while (used < length) {
		ssize_t got = read(fd, bytes + used, length - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		used += (size_t)got;
	}
	return (ssize_t)used;
}

static bool write_fully(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, bytes, length);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return false;
		bytes += written;
		length -= (size_t)written;
	}
	return true;
}

/* The file at path is this program, byte for byte. */
static bool is_up_to_date(int self, const char *path)
{
	static char a[PIECE];
	static char b[PIECE];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool same = fd >= 0;
	while (same) {
		ssize_t length_a = read_fully(self, a, sizeof a);
		ssize_t length_b = read_fully(fd, b, sizeof b);
		same = length_a >= 0 && length_a == length_b && memcmp(a, b, (size_t)length_a) == 0;
		if (length_a < (ssize_t)sizeof a)
			break;
	}
	if (fd >= 0)
		close(fd);
	lseek(self, 0, SEEK_SET);
	return same;
}

static bool copy(int from, int to, struct error *error)
{
	static char piece[PIECE];
	for (;;) {
		ssize_t length = read_fully(from, piece, sizeof piece);
		if (length < 0)
			return error_set_errno(error, errno, "reading %s", SELF);
		if (!write_fully(to, piece, (size_t)length))
			return error_set_errno(error, errno, "writing");
		if (length < (ssize_t)sizeof piece)
			return true;
	}
}

/* Written under another name and renamed: who executes path finds the old file or the complete new
 * one. */
static bool install_copy(int self, const char *path, struct error *error)
{
	char temporary[PATH_MAX_OWN];
	int length = snprintf(temporary, sizeof temporary, "%s.new", path);
	if (length < 0 || (size_t)length >= sizeof temporary)
		return error_set(error, "the name is too long");
	unlink(temporary);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0500);
	if (fd < 0)
		return error_set_errno(error, errno, "%s", temporary);
	bool copied = copy(self, fd, error);
	if (copied && fchmod(fd, 0555) < 0)
		copied = error_set_errno(error, errno, "fchmod");
	if (close(fd) < 0 && copied)
		copied = error_set_errno(error, errno, "close");
	if (copied && rename(temporary, path) < 0)
		copied = error_set_errno(error, errno, "rename");
	if (!copied) {
		unlink(temporary);
		return error_wrap(error, "%s", temporary);
	}
	return true;
}

/* Executes the copy: the architecture may be wrong, or the volume mounted noexec. */
static bool try_to_execute(const char *path, struct error *error)
{
	int status = 0;
	pid_t pid = fork();
	if (pid < 0)
		return error_set_errno(error, errno, "fork");
	if (pid == 0) {
		int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (nothing >= 0)
			dup2(nothing, STDOUT_FILENO);
		execl(path, path, "--version", (char *)NULL);
		stderr_log_errno(errno, "install: cannot execute %s", path);
		_exit(126);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return error_set(error, "%s does not run (wait status 0x%x)", path,
		                 (unsigned)status);
	return true;
}

int subcommand_install(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct error error = {""};
	sigaction(SIGALRM, &action, NULL);
	alarm(SECONDS_MAX);
	if (argc != 1) {
		stderr_log("install: expected one file name");
		return 2;
	}
	int self = open(SELF, O_RDONLY | O_CLOEXEC);
	if (self < 0) {
		stderr_log_errno(errno, "install: %s", SELF);
		return 1;
	}
	/* A file that is up to date is not replaced: flush identifies a running shim by its file.
	 */
	bool done = is_up_to_date(self, argv[0]) || install_copy(self, argv[0], &error);
	close(self);
	if (!done || !try_to_execute(argv[0], &error)) {
		stderr_log("install: %s", error.message);
		return 1;
	}
	return 0;
}
