/* A kubelet's error text in place of a log, or behind it, is told from what an agent printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "observer/evidence/log_error.h"

#define ID   "5c9cd9a625120faa78057061545b32bf421d6a329727c9bc3e1fb8840dab20a6"
#define PATH "/var/log/pods/agents_coder-7f9_18057078-1be1-4bba-a458-55ae462508cc/main/0.log"
#define JSON "/var/lib/docker/containers/" ID "/" ID "-json.log"

/* Errors of kubelets as a body has them, without what came before. */
static const char *const errors[] = {
        "unable to retrieve container logs for containerd://" ID,
        "unable to retrieve container logs for cri-o://" ID,
        "unable to retrieve container logs for docker://" ID,
        "failed to try resolving symlinks in path \"" PATH "\": lstat " PATH
        ": no such file or directory",
        "failed to try resolving symlinks in path \"" PATH "\": lstat " JSON
        ": no such file or directory",
        "failed to open log file \"" PATH "\": open " PATH ": no such file or directory",
        "failed to open log file \"" JSON "\": open " JSON ": permission denied",
        "failed to open log file \"/srv/logs/0.log\": open /srv/logs/0.log: too many open files",
        "failed to tail 200 lines of log file \"" PATH "\": read " PATH ": input/output error",
        "failed to seek 4096 in log file \"" PATH "\": seek " PATH ": invalid argument",
        "failed to read log file \"" PATH "\": read " PATH ": input/output error",
        "failed to reset seek in log file \"" PATH "\": seek " PATH ": invalid argument",
        "failed to create fsnotify watcher: too many open files",
        "failed to watch directory \"/var/log/pods/agents_coder-7f9_18057078/main\": "
        "no space left on device",
        "failed to watch file \"" PATH "\": no space left on device",
        "failed to watch file \"" JSON "\": no space left on device",
        "failed to get parse function: unsupported log format: \"\\x00\\x00\\x00\\n\"",
        "fsnotify queue overflow",
        "fsnotify: queue or buffer overflow",
        "context cancelled",
        "container status is nil",
        "status.CreatedAt is not set",
        "metadata.Name is not in metadata \"&ContainerMetadata{Name:,Attempt:0,}\"",
        "rpc error: code = NotFound desc = an error occurred when try to find container \"" ID
        "\": not found",
        "rpc error: code = NotFound desc = could not find container \"" ID
        "\": container with ID starting with " ID " not found: ID does not exist",
        "rpc error: code = Unknown desc = Error: No such container: " ID,
        "rpc error: code = Unknown desc = failed to inspect container " ID ": gone",
        "rpc error: code = Unknown desc = server is not initialized yet",
        "rpc error: code = Unimplemented desc = unknown service runtime.v1.RuntimeService",
        "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        "rpc error: code = Canceled desc = context canceled",
        "rpc error: code = Unavailable desc = transport is closing",
        "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while "
        "dialing dial unix /run/containerd/containerd.sock: connect: connection refused\"",
        "Error: No such container: " ID,
        "Error response from daemon: configured logging driver does not support reading",
        "error from daemon in stream: Error grabbing logs: unexpected EOF",
        "Unrecognized input header: 72",
        "operation timeout: context deadline exceeded",
        "can't follow",
};

/* Output of agents: whole bodies. */
static const char *const outputs[] = {
        "",
        "\n",
        "hello\n",
        "hello",
        /* It went on. */
        "failed to open log file \"" PATH "\": open " PATH ": no such file or directory\n"
        "giving up\n",
        "unable to retrieve container logs for containerd://" ID "\nretrying\n",
        "rpc error: code = NotFound desc = could not find container \"" ID "\"\nexit 1",
        /* It ended its line, and said something before. */
        "starting\nfailed to try resolving symlinks in path \"" PATH "\": gone\n",
        "starting\nunable to retrieve container logs for containerd://" ID "\n",
        "starting\nrpc error: code = Unknown desc = Error: No such container: " ID "\n",
        "starting\nfailed to create fsnotify watcher: too many open files\n",
        /* All that it said, of something of its own. */
        "failed to open log file \"/app/agent.log\": permission denied\n",
        "failed to create fsnotify watcher: too many open files\n",
        "failed to watch directory \"/workspace\": no space left on device\n",
        "Error response from daemon: conflict\n",
        "rpc error: code = DeadlineExceeded desc = context deadline exceeded\n",
        "can't follow\n",
        /* Others' errors without a line end. */
        "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while "
        "dialing: dial tcp 10.0.0.1:443: connect: connection refused\"",
        "rpc error: code = NotFound desc = no such model",
        "rpc error: code = NotFound desc = container image registry/x@sha256:" ID ": not found",
        "rpc error: code = NotFound",
        "failed to open log file agent.log: permission denied",
        "failed to tail the logs",
        "unable to retrieve container logs for my pods",
        "container status is nil, restarting",
        /* The words within a line. */
        "Error: failed to open log file \"/app/agent.log\": permission denied",
        "E1128 kubelet said: failed to create fsnotify watcher: too many open files",
        "Error: rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        "Error: rpc error: code = Unknown desc = pull of sha256:" ID " failed",
        "note: unable to retrieve container logs for containerd://x",
        "I can't follow",
};

static void assert_found(const char *before, const char *error, const char *after)
{
	char body[4096];
	int length = snprintf(body, sizeof body, "%s%s%s", before, error, after);
	assert_true(length > 0 && (size_t)length < sizeof body);
	size_t at = log_error_find(body, (size_t)length);
	if (at != strlen(before))
		fail_msg("at %zu, not %zu, in: %s", at, strlen(before), body);
}

static void test_errors_are_known_alone_and_behind_a_log(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		assert_found("", errors[i], "");
		assert_found("\n", errors[i], "");
		assert_found("starting\npanic: out of cheese\n", errors[i], "");
	}
}

/* The agent's last line had no end, and the kubelet's text follows it at once. */
static void test_what_only_a_node_knows_is_known_behind_half_a_line(void **state)
{
	(void)state;
	size_t known = 0;
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		if (strstr(errors[i], ID) == NULL && strstr(errors[i], PATH) == NULL)
			continue;
		if (strncmp(errors[i], "failed to watch", 15) == 0)
			continue;
		assert_found("panic: out of cheese", errors[i], "");
		/* A line end of a fake kubelet's, or of a proxy's, does no harm. */
		assert_found("", errors[i], "\n");
		known++;
	}
	assert_true(known >= 14);
}

static void test_an_agents_output_is_its_own(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
		size_t length = strlen(outputs[i]);
		size_t at = log_error_find(outputs[i], length);
		if (at != length)
			fail_msg("taken for an error at %zu: %s", at, outputs[i]);
	}
}

/* The text is read to its end only, wherever it is cut; memory checkers see to that. */
static void test_any_cut_of_it_stays_inside(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		for (size_t length = 0; length <= strlen(errors[i]); length++) {
			char *cut = malloc(length + (length == 0));
			assert_non_null(cut);
			memcpy(cut, errors[i], length);
			assert_true(log_error_find(cut, length) <= length);
			free(cut);
		}
	}
	char *large = malloc((size_t)1 << 20);
	assert_non_null(large);
	memset(large, 'a', (size_t)1 << 20);
	assert_int_equal(log_error_find(large, (size_t)1 << 20), (size_t)1 << 20);
	free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_errors_are_known_alone_and_behind_a_log),
	        cmocka_unit_test(test_what_only_a_node_knows_is_known_behind_half_a_line),
	        cmocka_unit_test(test_an_agents_output_is_its_own),
	        cmocka_unit_test(test_any_cut_of_it_stays_inside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
