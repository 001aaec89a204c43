#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/terminal.h"
#include "lib/base/buffer.h"
#include "lib/base/clock.h"

#define MESSAGES_MAX ((size_t)16 * 1024)
#define MESSAGES_MS  1000 /* standard error is passed on when nothing came for so long */

extern char **environ;

struct child {
	const char *program;
	pid_t pid;
	int output;         /* its standard output and error, for reading */
	int messages;       /* -1 when at its end, as output */
	struct buffer text; /* of its standard error, not passed on yet */
	int64_t heard;      /* when it last printed, on the monotonic clock */
};

static void close_both(const int pipe_ends[2])
{
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/* ---- Its start ---- */

static int spawn(const char *const *arguments, const struct interrupt *interrupt, int output,
                 int messages, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int number = posix_spawn_file_actions_init(&actions);
	if (number != 0)
		return number;
	number = posix_spawnattr_init(&attributes);
	if (number != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return number;
	}
	if (interrupt != NULL) {
		posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
		posix_spawnattr_setsigmask(&attributes, &interrupt->before);
	}
	number = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (number == 0)
		number = posix_spawn_file_actions_adddup2(&actions, messages, STDERR_FILENO);
	if (number == 0)
		number = posix_spawnp(ret_pid, arguments[0], &actions, &attributes,
		                      (char *const *)(uintptr_t)arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return number;
}

static bool start(const char *const *arguments, const struct interrupt *interrupt,
                  struct child *child, struct error *error)
{
	int output[2];
	int messages[2];
	if (pipe2(output, O_CLOEXEC) != 0)
		return error_set_errno(error, errno, "making a pipe");
	if (pipe2(messages, O_CLOEXEC) != 0) {
		error_set_errno(error, errno, "making a pipe");
		close_both(output);
		return false;
	}
	int number = spawn(arguments, interrupt, output[1], messages[1], &child->pid);
	close(output[1]);
	close(messages[1]);
	if (number == 0) {
		child->output = output[0];
		child->messages = messages[0];
		return true;
	}
	close(output[0]);
	close(messages[0]);
	if (number == ENOENT)
		return error_set(error,
		                 "%s: no such program; expected kubectl in PATH, or the variable "
		                 "KUBECTL to name it",
		                 arguments[0]);
	return error_set_errno(error, number, "starting %s", arguments[0]);
}

/* ---- Its output ---- */

static void pass_on(struct buffer *text)
{
	fwrite(buffer_text(text), 1, text->length, stderr);
	buffer_clear(text);
}

static void close_stream(int *file)
{
	if (*file >= 0)
		close(*file);
	*file = -1;
}

/* Reads what is available. False: no more is wanted. */
static bool read_output(struct child *child, const struct child_output *output)
{
	char chunk[65536];
	ssize_t got = read(child->output, chunk, sizeof chunk);
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	child->heard = clock_now();
	if (got <= 0)
		close_stream(&child->output);
	return got <= 0 || output->take(output->context, chunk, (size_t)got);
}

static void read_messages(struct child *child)
{
	char chunk[MESSAGES_MAX];
	ssize_t got = read(child->messages, chunk, sizeof chunk);
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (got <= 0)
		close_stream(&child->messages);
	else
		buffer_append(&child->text, chunk, (size_t)got);
	if (child->text.length > MESSAGES_MAX / 2)
		pass_on(&child->text);
}

/* How long poll() may wait for one of the streams; -1: as long as it takes. */
static int poll_timeout(const struct child *child, const struct child_output *output)
{
	if (child->text.length > 0)
		return MESSAGES_MS;
	if (output->quiet_ms < 0)
		return -1;
	int64_t left = output->quiet_ms - (clock_now() - child->heard) / MILLISECOND;
	return left <= 0 ? 0 : (int)left;
}

static bool is_quiet(const struct child *child, const struct child_output *output)
{
	return output->quiet_ms >= 0 &&
	       clock_now() - child->heard >= (int64_t)output->quiet_ms * MILLISECOND;
}

/* Reads both streams, to their ends unless something ends the child. */
static enum child_end read_streams(struct child *child, const struct child_output *output)
{
	enum { OUTPUT = INTERRUPT_FILES, MESSAGES, COUNT };
	while (child->output >= 0 || child->messages >= 0) {
		struct pollfd files[COUNT];
		interrupt_poll(output->interrupt, files);
		files[OUTPUT] = (struct pollfd){.fd = child->output, .events = POLLIN};
		files[MESSAGES] = (struct pollfd){.fd = child->messages, .events = POLLIN};
		int ready = poll(files, COUNT, poll_timeout(child, output));
		if (ready == 0)
			pass_on(&child->text);
		if (is_quiet(child, output))
			return CHILD_QUIET;
		if (ready <= 0)
			continue;
		if (interrupt_came(files))
			return CHILD_INTERRUPTED;
		if (files[OUTPUT].revents != 0 && !read_output(child, output))
			return CHILD_UNWANTED;
		if (files[MESSAGES].revents != 0)
			read_messages(child);
	}
	return CHILD_EXITED;
}

/* ---- Its end ---- */

static bool check_status(struct child *child, int status, struct error *error)
{
	struct buffer _cleanup_buffer_ line;
	buffer_init(&line, 4 * MESSAGES_MAX);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	size_t length = child->text.length;
	while (length > 0 && child->text.data[length - 1] == '\n')
		length--;
	buffer_truncate(&child->text, length);
	terminal_line(&line, buffer_text(&child->text));
	buffer_clear(&child->text);
	if (WIFSIGNALED(status))
		return error_set(error, "%s was killed by signal %d%s%s", child->program,
		                 WTERMSIG(status), line.length > 0 ? ": " : "", buffer_text(&line));
	return error_set(error, "%s failed with exit status %d: %s", child->program,
	                 WEXITSTATUS(status),
	                 line.length > 0 ? buffer_text(&line) : "it printed no reason");
}

bool child_run(const char *const *arguments, const struct child_output *output,
               enum child_end *ret_end, struct error *error)
{
	struct child child = {.program = arguments[0], .heard = clock_now()};
	int status = 0;
	buffer_init(&child.text, 4 * MESSAGES_MAX);
	if (!start(arguments, output->interrupt, &child, error))
		return false;
	enum child_end end = read_streams(&child, output);
	if (end != CHILD_EXITED)
		kill(child.pid, SIGKILL);
	close_stream(&child.output);
	close_stream(&child.messages);
	bool waited;
	while (!(waited = waitpid(child.pid, &status, 0) >= 0) && errno == EINTR)
		;
	bool done = waited ? end != CHILD_EXITED || check_status(&child, status, error)
	                   : error_set_errno(error, errno, "waiting for %s", child.program);
	if (done && end != CHILD_INTERRUPTED) /* the interrupt is no news */
		pass_on(&child.text);
	buffer_free(&child.text);
	if (done)
		*ret_end = end;
	return done;
}
