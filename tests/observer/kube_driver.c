/*
 * Drives lib/kube/client from the command line, for the tests: one word for each thing done, the
 * outcome as a JSON object a line on stdout.
 *
 *   call METHOD PATH [BODY [CONTENT-TYPE]]   kube_call
 *   stream PATH          kube_start with receive(): each chunk's bytes are counted, "chunk" is
 *                        printed
 *   many N PATH          N requests side by side with kube_start
 *   wait                 reads a line of stdin: the test goes on meanwhile
 *   stop-on-line         from now on a thread of its own calls kube_stop when stdin has a line
 * Settings, for what follows: attempts=N timeout=NS idle=NS max=BYTES
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/json_write.h"
#include "lib/kube/client.h"

struct driver {
	struct kube_client *client;
	struct kube_request request;
	atomic_bool stopped;
	size_t bytes;
	unsigned finished;
	unsigned failed;
};

static void read_line(void)
{
	int c;
	do
		c = getchar();
	while (c != EOF && c != '\n');
}

static void *stop_on_line(void *context)
{
	struct driver *driver = context;
	read_line();
	atomic_store(&driver->stopped, true);
	kube_stop(driver->client);
	return NULL;
}

static void print_result(const struct kube_response *response, const struct error *error,
                         size_t bytes)
{
	struct buffer line;
	struct json_writer writer;
	buffer_init(&line, 1 << 20);
	json_writer_init(&writer, &line);
	json_write_object_begin(&writer);
	json_write_member_integer(&writer, "status", response->status);
	json_write_member(&writer, "reason", response->reason);
	json_write_member_integer(&writer, "retry_after", response->retry_after);
	json_write_member_integer(&writer, "bytes", (int64_t)bytes);
	json_write_key(&writer, "body");
	json_write_string_n(&writer, buffer_text(&response->body), response->body.length);
	json_write_member(&writer, "error", error == NULL ? NULL : error->message);
	json_write_object_end(&writer);
	puts(buffer_text(&line));
	fflush(stdout);
	buffer_free(&line);
}

static bool on_chunk(void *context, const char *bytes, size_t length)
{
	struct driver *driver = context;
	(void)bytes;
	driver->bytes += length;
	puts("chunk");
	fflush(stdout);
	return true;
}

static void call(struct driver *driver)
{
	struct kube_response _cleanup_kube_response_ response;
	struct error error = {""};
	kube_response_init(&response);
	bool good = kube_call(driver->client, &driver->request, &response, &error);
	print_result(&response, good ? NULL : &error, 0);
}

static void on_stream_end(void *context, struct kube_response *response, const struct error *error)
{
	struct driver *driver = context;
	driver->finished++;
	print_result(response, error, driver->bytes);
}

static void stream(struct driver *driver)
{
	struct kube_operation *operation;
	struct error error;
	driver->bytes = 0;
	driver->finished = 0;
	if (!kube_start(driver->client, &driver->request, on_chunk, on_stream_end, driver,
	                &operation, &error))
		abort();
	while (driver->finished == 0 && !atomic_load(&driver->stopped))
		kube_run(driver->client, INT64_C(1000000000));
	if (driver->finished > 0)
		return;
	kube_cancel(operation);
	puts("{\"stopped\": true}");
	fflush(stdout);
}

static void on_finish(void *context, struct kube_response *response, const struct error *error)
{
	struct driver *driver = context;
	(void)response;
	driver->finished++;
	driver->failed += error != NULL;
}

static void many(struct driver *driver, unsigned count)
{
	struct kube_operation *operation;
	struct error error;
	driver->finished = driver->failed = 0;
	for (unsigned i = 0; i < count; i++)
		if (!kube_start(driver->client, &driver->request, NULL, on_finish, driver,
		                &operation, &error))
			abort();
	/* One is dropped at once: it must not come back. */
	kube_cancel(operation);
	while (driver->finished < count - 1)
		kube_run(driver->client, INT64_C(1000000000));
	printf("{\"finished\": %u, \"failed\": %u}\n", driver->finished, driver->failed);
	fflush(stdout);
}

static bool take_setting(struct driver *driver, const char *word)
{
	const char *equals = strchr(word, '=');
	int64_t value = equals == NULL ? 0 : strtoll(equals + 1, NULL, 10);
	if (strncmp(word, "attempts=", 9) == 0)
		driver->request.attempts = (unsigned)value;
	else if (strncmp(word, "timeout=", 8) == 0)
		driver->request.timeout = value;
	else if (strncmp(word, "idle=", 5) == 0)
		driver->request.idle_timeout = value;
	else if (strncmp(word, "max=", 4) == 0)
		driver->request.response_max = (size_t)value;
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	struct driver driver = {0};
	struct error error;
	pthread_t thread;
	bool stopper = false;
	if (argc < 2 || !kube_client_new(argv[1], &driver.client, &error)) {
		fprintf(stderr, "%s\n", argc < 2 ? "no account" : error.message);
		return 1;
	}
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "call") == 0 && i + 2 < argc) {
			driver.request.method = argv[++i];
			driver.request.path = argv[++i];
			driver.request.body =
			        i + 1 < argc && argv[i + 1][0] == '{' ? argv[++i] : NULL;
			driver.request.body_length =
			        driver.request.body == NULL ? 0 : strlen(driver.request.body);
			driver.request.content_type =
			        i + 1 < argc && strncmp(argv[i + 1], "application/", 12) == 0
			                ? argv[++i]
			                : NULL;
			call(&driver);
		} else if (strcmp(argv[i], "stream") == 0 && i + 1 < argc) {
			driver.request.method = NULL;
			driver.request.path = argv[++i];
			stream(&driver);
		} else if (strcmp(argv[i], "many") == 0 && i + 2 < argc) {
			unsigned count = (unsigned)atoi(argv[++i]);
			driver.request.path = argv[++i];
			many(&driver, count);
		} else if (strcmp(argv[i], "wait") == 0) {
			read_line();
		} else if (strcmp(argv[i], "stop-on-line") == 0) {
			stopper = pthread_create(&thread, NULL, stop_on_line, &driver) == 0;
		} else if (!take_setting(&driver, argv[i])) {
			fprintf(stderr, "what is %s?\n", argv[i]);
			return 2;
		}
	}
	if (stopper)
		pthread_join(thread, NULL);
	kube_client_free(driver.client);
	return 0;
}
