#include "cli/kubectl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/terminal.h"
#include "lib/base/buffer.h"

#define MESSAGES_MAX   ((size_t)16 * 1024)
#define ARGUMENTS_MAX  24
#define QUIET_MS       1000 /* standard error is passed on when nothing came for so long */
#define NAMESPACE_FILE "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

extern char **environ;

static const char *program(void)
{
	const char *named = getenv("KUBECTL");
	return named == NULL || named[0] == '\0' ? "kubectl" : named;
}

/* ---- The child ---- */

struct child {
	pid_t pid;
	int output;   /* its standard output and error, for reading */
	int messages; /* -1 when at its end, as output */
};

static void close_both(const int pipe_ends[2])
{
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

static int spawn(const char *const *arguments, int output, int messages, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	int number = posix_spawn_file_actions_init(&actions);
	if (number != 0)
		return number;
	number = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (number == 0)
		number = posix_spawn_file_actions_adddup2(&actions, messages, STDERR_FILENO);
	if (number == 0)
		number = posix_spawnp(ret_pid, program(), &actions, NULL,
		                      (char *const *)(uintptr_t)arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	return number;
}

static bool start(const char *const *arguments, struct child *ret_child, struct error *error)
{
	int output[2];
	int messages[2];
	pid_t pid = 0;
	if (pipe2(output, O_CLOEXEC) != 0)
		return error_set_errno(error, errno, "making a pipe");
	if (pipe2(messages, O_CLOEXEC) != 0) {
		error_set_errno(error, errno, "making a pipe");
		close_both(output);
		return false;
	}
	int number = spawn(arguments, output[1], messages[1], &pid);
	close(output[1]);
	close(messages[1]);
	if (number == 0) {
		*ret_child = (struct child){pid, output[0], messages[0]};
		return true;
	}
	close(output[0]);
	close(messages[0]);
	if (number == ENOENT)
		return error_set(error,
		                 "%s: no such program; expected kubectl in PATH, or the variable "
		                 "KUBECTL to name it",
		                 program());
	return error_set_errno(error, number, "starting %s", program());
}

static void pass_on(struct buffer *messages)
{
	fwrite(buffer_text(messages), 1, messages->length, stderr);
	buffer_clear(messages);
}

/* Reads what is available; false at the end of the stream. */
static bool drain(int file, struct buffer *into)
{
	char chunk[65536];
	ssize_t got = read(file, chunk, sizeof chunk);
	if (got < 0)
		return errno == EINTR || errno == EAGAIN;
	buffer_append(into, chunk, (size_t)got);
	return got > 0;
}

/* Reads both streams to their ends. */
static void read_streams(struct child *child, struct buffer *output, struct buffer *messages)
{
	while (child->output >= 0 || child->messages >= 0) {
		struct pollfd files[] = {{.fd = child->output, .events = POLLIN},
		                         {.fd = child->messages, .events = POLLIN}};
		int ready = poll(files, 2, messages->length > 0 ? QUIET_MS : -1);
		if (ready == 0)
			pass_on(messages);
		if (ready <= 0)
			continue;
		if (files[0].revents != 0 && !drain(child->output, output)) {
			close(child->output);
			child->output = -1;
		}
		if (files[1].revents != 0 && !drain(child->messages, messages)) {
			close(child->messages);
			child->messages = -1;
		}
		if (messages->length > MESSAGES_MAX / 2)
			pass_on(messages);
	}
}

static bool check_status(int status, struct buffer *messages, struct error *error)
{
	struct buffer _cleanup_buffer_ line;
	buffer_init(&line, 4 * MESSAGES_MAX);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		pass_on(messages);
		return true;
	}
	size_t length = messages->length;
	while (length > 0 && messages->data[length - 1] == '\n')
		length--;
	buffer_truncate(messages, length);
	terminal_line(&line, buffer_text(messages));
	if (WIFSIGNALED(status))
		return error_set(error, "%s was killed by signal %d%s%s", program(),
		                 WTERMSIG(status), line.length > 0 ? ": " : "", buffer_text(&line));
	return error_set(error, "%s failed with exit status %d: %s", program(), WEXITSTATUS(status),
	                 line.length > 0 ? buffer_text(&line) : "it printed no reason");
}

static bool run(const char *const *arguments, struct buffer *output, struct error *error)
{
	struct buffer _cleanup_buffer_ messages;
	struct child child = {-1, -1, -1};
	int status;
	buffer_init(&messages, 2 * MESSAGES_MAX + 65536);
	if (!start(arguments, &child, error))
		return false;
	read_streams(&child, output, &messages);
	while (waitpid(child.pid, &status, 0) < 0)
		if (errno != EINTR)
			return error_set_errno(error, errno, "waiting for %s", program());
	if (!check_status(status, &messages, error))
		return false;
	if (!buffer_ok(output))
		return error_set(error, "%s: expected a response of at most %zu bytes", program(),
		                 output->limit);
	return true;
}

/* ---- Requests ---- */

static size_t begin_arguments(const struct kubectl *kubectl, const char *arguments[ARGUMENTS_MAX])
{
	size_t count = 0;
	arguments[count++] = program();
	if (kubectl->kubeconfig != NULL) {
		arguments[count++] = "--kubeconfig";
		arguments[count++] = kubectl->kubeconfig;
	}
	if (kubectl->context != NULL) {
		arguments[count++] = "--context";
		arguments[count++] = kubectl->context;
	}
	return count;
}

bool kubectl_get_raw(const struct kubectl *kubectl, const char *path, struct buffer *body,
                     struct error *error)
{
	const char *arguments[ARGUMENTS_MAX] = {NULL};
	size_t count = begin_arguments(kubectl, arguments);
	arguments[count++] = "get";
	arguments[count++] = "--raw";
	arguments[count] = path;
	return run(arguments, body, error);
}

json *kubectl_get_json(const struct kubectl *kubectl, const char *path, size_t most,
                       struct arena *arena, struct error *error)
{
	struct buffer _cleanup_buffer_ body;
	json *root;
	buffer_init(&body, most);
	if (!kubectl_get_raw(kubectl, path, &body, error))
		return NULL;
	if (json_parse(arena, buffer_text(&body), body.length, JSON_KEEP_NUMBERS, &root, error) !=
	    JSON_INVALID)
		return root;
	error_wrap(error, "the response to %s", path);
	return NULL;
}

bool kubectl_patch_config_map(const struct kubectl *kubectl, const char *namespace,
                              const char *name, const char *patch, struct error *error)
{
	const char *arguments[ARGUMENTS_MAX] = {NULL};
	struct buffer _cleanup_buffer_ output;
	size_t count = begin_arguments(kubectl, arguments);
	buffer_init(&output, MESSAGES_MAX);
	arguments[count++] = "patch";
	arguments[count++] = "configmap";
	arguments[count++] = name;
	arguments[count++] = "--namespace";
	arguments[count++] = namespace;
	arguments[count++] = "--type=merge";
	arguments[count++] = "--output=name";
	arguments[count++] = "--patch";
	arguments[count] = patch;
	return run(arguments, &output, error);
}

bool kubectl_try_pod(const struct kubectl *kubectl, const char *namespace, const char *name,
                     const char *labels, struct buffer *ret_pod, struct error *error)
{
	const char *arguments[ARGUMENTS_MAX] = {NULL};
	size_t count = begin_arguments(kubectl, arguments);
	arguments[count++] = "run";
	arguments[count++] = name;
	arguments[count++] = "--namespace";
	arguments[count++] = namespace;
	arguments[count++] = "--image";
	arguments[count++] = name;
	arguments[count++] = "--labels";
	arguments[count++] = labels;
	arguments[count++] = "--restart=Never";
	arguments[count++] = "--dry-run=server";
	arguments[count++] = "--output=json";
	arguments[count++] = "--command";
	arguments[count++] = "--";
	arguments[count] = "true";
	return run(arguments, ret_pod, error);
}

/* In a pod kubectl takes the service account's; without any configuration there is "default". */
static void append_fallback(struct buffer *name)
{
	char text[64] = "";
	FILE *file = fopen(NAMESPACE_FILE, "re");
	if (file != NULL) {
		if (fgets(text, sizeof text, file) == NULL)
			text[0] = '\0';
		fclose(file);
	}
	text[strcspn(text, "\r\n")] = '\0';
	buffer_append_text(name, text[0] == '\0' ? "default" : text);
}

void kubectl_namespace(const struct kubectl *kubectl, struct buffer *name)
{
	const char *arguments[ARGUMENTS_MAX] = {NULL};
	size_t count = begin_arguments(kubectl, arguments);
	size_t before = name->length;
	arguments[count++] = "config";
	arguments[count++] = "view";
	arguments[count++] = "--minify"; /* fails where there is no context */
	arguments[count] = "--output=jsonpath={.contexts[0].context.namespace}";
	if (!run(arguments, name, NULL))
		buffer_truncate(name, before);
	buffer_truncate(name, before + strcspn(buffer_text(name) + before, "\r\n"));
	if (name->length == before)
		append_fallback(name);
}
