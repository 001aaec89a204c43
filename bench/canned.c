/*
 * canned: lib/http/server with one response to everything: what the webhook's HTTP side costs
 * without any decision. For bench/admission.py only.
 *
 * canned ADDR:PORT CERT KEY RESPONSE THREADS; prints the address it listens on; ends on SIGTERM.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/files.h"
#include "lib/http/server.h"

static struct buffer canned;

static void on_request(void *context, const struct http_request *request,
                       struct http_response *response)
{
	(void)context;
	(void)request;
	response->content_type = "application/json";
	buffer_append(&response->body, canned.data, canned.length);
}

static bool load(const char *path, struct buffer *out, struct error *error)
{
	buffer_init(out, 1 << 20);
	return file_read(path, out, error);
}

int main(int argc, char **argv)
{
	struct error error = {"usage: canned ADDR:PORT CERT KEY RESPONSE THREADS"};
	struct buffer chain;
	struct buffer key;
	struct http_server *server;
	time_t not_before;
	time_t not_after;
	sigset_t set;
	int number;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	struct http_server_options options = {
	        .address = argc == 6 ? argv[1] : "",
	        .tls = true,
	        .threads = argc == 6 ? (unsigned)strtoul(argv[5], NULL, 10) : 1,
	        .body_max = 10 << 20,
	        .response_max = 4 << 20,
	        .limits = {.connections = 512, .requests = 256, .bytes = 64 << 20},
	        .header_seconds = 10,
	        .body_seconds = 10,
	        .idle_seconds = 120,
	        .handler = on_request,
	};
	if (argc != 6 || !load(argv[2], &chain, &error) || !load(argv[3], &key, &error) ||
	    !load(argv[4], &canned, &error) || !http_server_start(&options, &server, &error) ||
	    !http_server_set_identity(server, buffer_text(&chain), buffer_text(&key), &not_before,
	                              &not_after, &error)) {
		fprintf(stderr, "canned: %s\n", error.message);
		return 1;
	}
	puts(http_server_address(server));
	fflush(stdout);
	sigwait(&set, &number);
	http_server_stop(server);
	return 0;
}
