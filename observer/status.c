#include "observer/status.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/http/server.h"
#include "observer/transport.h"

#define RESPONSE_MAX ((size_t)16 * 1024 * 1024)

static void respond_to(void *context, const struct http_request *request,
                       struct http_response *response)
{
	struct status *status = context;
	if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
		response->allow = "GET, HEAD";
		http_response_text(response, 405, "expected GET\n");
	} else if (strcmp(request->path, "/healthz") == 0) {
		bool turns = clock_now() - atomic_load(&status->turned_at) < STATUS_STUCK;
		http_response_text(response, turns ? 200 : 503,
		                   turns ? "ok\n" : "the event loop is stuck\n");
	} else if (strcmp(request->path, "/readyz") == 0) {
		bool ready = observer_is_ready(status->observer);
		http_response_text(
		        response, ready ? 200 : 503,
		        ready ? "ok\n"
		              : "the pods are not listed yet, or their watch makes no progress\n");
	} else if (strcmp(request->path, "/metrics") == 0) {
		response->content_type = "text/plain; version=0.0.4; charset=utf-8";
		observer_metrics_write(status->observer->metrics, &response->body);
	} else {
		http_response_text(response, 404, "expected /healthz, /readyz or /metrics\n");
	}
}

bool status_start(struct status *status, struct observer *observer, const char *address,
                  struct error *error)
{
	const struct http_server_options options = {
	        .address = address,
	        .threads = 1,
	        .body_max = 4096,
	        .response_max = RESPONSE_MAX,
	        .limits = {.connections = 512,
	                   .connections_each = 384,
	                   .requests = 64,
	                   .requests_each = 32,
	                   .bytes = 2 * RESPONSE_MAX,
	                   .bytes_each = RESPONSE_MAX + RESPONSE_MAX / 4},
	        .header_seconds = 3,
	        .body_seconds = 10,
	        .idle_seconds = 120,
	        .handler = respond_to,
	        .context = status,
	};
	*status = (struct status){.observer = observer, .turned_at = clock_now()};
	return http_server_start(&options, &status->server, error);
}

const char *status_address(const struct status *status)
{
	return http_server_address(status->server);
}

void status_stop(struct status *status)
{
	http_server_stop(status->server);
	status->server = NULL;
}
