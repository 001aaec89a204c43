#include "lib/kube/client.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/files.h"
#include "lib/http/client.h"
#include "lib/document/json.h"
#include "lib/kube/version.h"

#define RETRY_DELAY_MIN (SECOND / 10)
#define RETRY_DELAY_MAX (30 * SECOND)
/* The caller has other work, and asks again later. */
#define VERSION_TIMEOUT (2 * SECOND)
#define TOKEN_MAX       ((size_t)64 * 1024)
#define STATUS_MAX      ((size_t)64 * 1024) /* of the body of a failed stream */
#define WAIT_FOR_EVER   (3600 * SECOND)

struct kube_client {
	struct http_client *http;
	char *service_account_dir;
	char address[300]; /* https://host:port */
	atomic_bool stopped;
	struct kube_operation *first;
};

struct kube_operation {
	struct kube_operation *previous;
	struct kube_operation *next;
	struct kube_client *client;
	struct http_exchange *exchange;
	struct kube_response response;
	kube_receive *receive;
	kube_finish *finish;
	void *context;
	char method[8];
	char path[160]; /* for messages; cut */
};

void kube_response_init(struct kube_response *response)
{
	*response = (struct kube_response){.retry_after = -1, .date = -1};
	buffer_init(&response->body, KUBE_RESPONSE_MAX);
}

void kube_response_free(struct kube_response *response)
{
	if (response != NULL)
		buffer_free(&response->body);
}

/* ---- The client ---- */

bool kube_in_cluster(void)
{
	return getenv("KUBERNETES_SERVICE_HOST") != NULL &&
	       getenv("KUBERNETES_SERVICE_PORT") != NULL;
}

bool kube_client_new(const char *service_account_dir, struct kube_client **ret_client,
                     struct error *error)
{
	char path[512];
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	if (host == NULL || port == NULL)
		return error_set(error, "not in a cluster: KUBERNETES_SERVICE_HOST and _PORT are "
		                        "not set");
	if (strlen(host) > 253 || strlen(port) > 5)
		return error_set(error, "KUBERNETES_SERVICE_HOST or _PORT is no address");
	snprintf(path, sizeof path, "%s/ca.crt", service_account_dir);

	struct kube_client *client = calloc(1, sizeof *client);
	if (client == NULL)
		return error_set(error, "no memory for a client");
	snprintf(client->address, sizeof client->address,
	         strchr(host, ':') == NULL ? "https://%s:%s" : "https://[%s]:%s", host, port);
	client->service_account_dir = strdup(service_account_dir);
	client->http = http_client_new(path);
	if (client->service_account_dir == NULL || client->http == NULL) {
		kube_client_free(client);
		return error_set(error, "no memory for a client");
	}
	*ret_client = client;
	return true;
}

static void operation_free(struct kube_operation *operation)
{
	if (operation->previous != NULL)
		operation->previous->next = operation->next;
	else
		operation->client->first = operation->next;
	if (operation->next != NULL)
		operation->next->previous = operation->previous;
	kube_response_free(&operation->response);
	free(operation);
}

void kube_cancel(struct kube_operation *operation)
{
	if (operation == NULL)
		return;
	http_exchange_cancel(operation->exchange);
	operation_free(operation);
}

void kube_client_free(struct kube_client *client)
{
	if (client == NULL)
		return;
	struct kube_operation *next;
	for (struct kube_operation *operation = client->first; operation != NULL;
	     operation = next) {
		next = operation->next;
		kube_cancel(operation);
	}
	http_client_free(client->http);
	free(client->service_account_dir);
	free(client);
}

struct http_client *kube_http_client(struct kube_client *client)
{
	return client->http;
}

void kube_wake(struct kube_client *client)
{
	http_client_wake(client->http);
}

void kube_stop(struct kube_client *client)
{
	atomic_store(&client->stopped, true);
	kube_wake(client);
}

void kube_run(struct kube_client *client, int64_t nanoseconds)
{
	http_client_run(client->http, atomic_load(&client->stopped) ? 0 : nanoseconds);
}

/* ---- What a response means ---- */

/* Takes reason, message and code from the body if it is a Status object that reports a failure. */
static bool read_status(struct kube_response *response, char *message, size_t size)
{
	struct arena *_cleanup_arena_ arena = arena_new(0);
	json *root;
	int64_t code;
	if (arena == NULL || json_parse(arena, buffer_text(&response->body), response->body.length,
	                                0, &root, NULL) == JSON_INVALID)
		return false;
	if (!json_string_is(json_get(root, "kind"), "Status") ||
	    json_string_is(json_get(root, "status"), "Success"))
		return false;
	snprintf(response->reason, sizeof response->reason, "%s",
	         json_get_string_or(root, "reason", ""));
	snprintf(message, size, "%s", json_get_string_or(root, "message", ""));
	if (response->status / 100 == 2 && json_integer(json_get(root, "code"), &code) &&
	    code > 0 && code < 1000)
		response->status = (long)code;
	return true;
}

/* The API server begins a Status object so; other responses of status 2xx are not parsed here. */
static bool may_be_status(const struct kube_response *response)
{
	static const char start[] = "{\"kind\":\"Status\"";
	return response->status / 100 != 2 ||
	       strncmp(buffer_text(&response->body), start, sizeof start - 1) == 0;
}

/* True when the response is a success. */
static bool check_response(struct kube_operation *operation, const char *problem,
                           struct error *error)
{
	struct kube_response *response = &operation->response;
	char message[ERROR_MESSAGE_SIZE] = "";
	bool refused = may_be_status(response) && read_status(response, message, sizeof message);
	bool cut = !buffer_ok(&response->body);
	if (problem == NULL && !refused && response->status / 100 == 2 && !cut)
		return true;
	if (response->status == 0 || response->status / 100 == 2)
		error_set(error, "%s",
		          cut               ? "the response is too large"
		          : problem != NULL ? problem
		                            : message);
	else
		error_set(error, "status %ld%s%s%s%.500s", response->status,
		          response->reason[0] == '\0' ? "" : " ", response->reason,
		          message[0] == '\0' ? "" : ": ", message);
	return error_wrap(error, "%s %s", operation->method, operation->path);
}

/* ---- An operation ---- */

static bool on_receive(void *context, long status, const char *bytes, size_t length)
{
	struct kube_operation *operation = context;
	if (operation->receive != NULL && status / 100 == 2)
		return operation->receive(operation->context, bytes, length);
	buffer_append(&operation->response.body, bytes, length);
	return buffer_ok(&operation->response.body);
}

static void on_finish(void *context, const struct http_result *result)
{
	struct kube_operation *operation = context;
	struct error error;
	/* A response that was cut off counts as none. */
	operation->response.status =
	        result->problem != NULL && result->status / 100 == 2 ? 0 : result->status;
	operation->response.retry_after = result->retry_after;
	operation->response.date = result->date;
	bool good = check_response(operation, result->problem, &error);
	operation->finish(operation->context, &operation->response, good ? NULL : &error);
	operation_free(operation);
}

static bool read_token(const struct kube_client *client, struct buffer *token, struct error *error)
{
	char path[512];
	snprintf(path, sizeof path, "%s/token", client->service_account_dir);
	if (!file_read(path, token, error))
		return false;
	buffer_truncate(token, strcspn(buffer_text(token), "\r\n"));
	return true;
}

static struct kube_operation *operation_new(struct kube_client *client,
                                            const struct kube_request *request)
{
	struct kube_operation *operation = calloc(1, sizeof *operation);
	if (operation == NULL)
		return NULL;
	operation->client = client;
	kube_response_init(&operation->response);
	if (request->response_max > 0)
		operation->response.body.limit = request->response_max;
	operation->response.body.secret = request->secret;
	snprintf(operation->method, sizeof operation->method, "%s",
	         request->method == NULL ? "GET" : request->method);
	snprintf(operation->path, sizeof operation->path, "%s", request->path);
	operation->next = client->first;
	if (client->first != NULL)
		client->first->previous = operation;
	client->first = operation;
	return operation;
}

/* url and token: scratch. */
static bool begin(struct kube_operation *operation, const struct kube_request *request,
                  struct buffer *url, struct buffer *token, struct error *error)
{
	buffer_printf(url, "%s%s", operation->client->address, request->path);
	if (!read_token(operation->client, token, error))
		return error_wrap(error, "%s %s", operation->method, operation->path);
	const struct http_order order = {
	        .method = operation->method,
	        .url = buffer_text(url),
	        .bearer = buffer_text(token),
	        .content_type = request->body == NULL           ? NULL
	                        : request->content_type == NULL ? KUBE_JSON
	                                                        : request->content_type,
	        .accept = request->accept,
	        .body = request->body,
	        .body_length = request->body_length,
	        .timeout = request->timeout == 0 && operation->receive == NULL ? KUBE_TIMEOUT
	                                                                       : request->timeout,
	        .idle_timeout = request->idle_timeout,
	        .receive = on_receive,
	        .finish = on_finish,
	        .context = operation,
	};
	if (buffer_ok(url))
		operation->exchange = http_client_start(operation->client->http, &order);
	return operation->exchange != NULL ||
	       error_set(error, "%s %s: no memory", operation->method, operation->path);
}

bool kube_start(struct kube_client *client, const struct kube_request *request,
                kube_receive *receive, kube_finish *finish, void *context,
                struct kube_operation **ret_operation, struct error *error)
{
	struct buffer _cleanup_buffer_ token;
	struct buffer _cleanup_buffer_ url;
	buffer_init(&token, TOKEN_MAX);
	buffer_init(&url, TOKEN_MAX);
	struct kube_operation *operation = operation_new(client, request);
	if (operation == NULL)
		return error_set(error, "no memory for a request");
	operation->receive = receive;
	operation->finish = finish;
	operation->context = context;
	if (receive != NULL)
		operation->response.body.limit = STATUS_MAX;
	if (!begin(operation, request, &url, &token, error)) {
		operation_free(operation);
		return false;
	}
	*ret_operation = operation;
	return true;
}

/* ---- Blocking ---- */

struct waiting {
	struct kube_response *response;
	struct error *error;
	bool done;
	bool good;
};

static void take_response(void *context, struct kube_response *response, const struct error *error)
{
	struct waiting *waiting = context;
	kube_response_free(waiting->response);
	*waiting->response = *response;
	buffer_init(&response->body, 0); /* waiting->response owns it now */
	waiting->good = error == NULL;
	if (error != NULL)
		error_set(waiting->error, "%s", error->message);
	waiting->done = true;
}

static bool call_once(struct kube_client *client, const struct kube_request *request,
                      struct waiting *waiting)
{
	struct kube_operation *operation = NULL;
	kube_response_free(waiting->response);
	kube_response_init(waiting->response);
	waiting->done = false;
	if (!kube_start(client, request, NULL, take_response, waiting, &operation, waiting->error))
		return false;
	while (!waiting->done && !atomic_load(&client->stopped))
		kube_run(client, WAIT_FOR_EVER);
	if (waiting->done)
		return waiting->good;
	kube_cancel(operation);
	return error_set(waiting->error, "%s %s: stopped",
	                 request->method == NULL ? "GET" : request->method, request->path);
}

bool kube_call(struct kube_client *client, const struct kube_request *request,
               struct kube_response *response, struct error *error)
{
	struct waiting waiting = {.response = response, .error = error};
	for (unsigned attempt = 1;; attempt++) {
		uint64_t random = 0;
		if (call_once(client, request, &waiting))
			return true;
		if (getentropy(&random, sizeof random) != 0)
			random = 0; /* without jitter then */
		int64_t delay =
		        attempt >= request->attempts
		                ? -1
		                : kube_retry_delay(request->method, response, attempt, random);
		if (delay < 0)
			return false;
		int64_t end = clock_now() + delay;
		for (int64_t left = delay; left > 0; left = end - clock_now()) {
			if (atomic_load(&client->stopped))
				return false;
			kube_run(client, left);
		}
	}
}

/* ---- Decisions and questions ---- */

static bool is_retriable(const char *method, long status)
{
	switch (status) {
	case 0:
		return method == NULL || strcmp(method, "GET") == 0;
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		return true;
	default:
		return false;
	}
}

int64_t kube_retry_delay(const char *method, const struct kube_response *response, unsigned attempt,
                         uint64_t random)
{
	if (!is_retriable(method, response->status))
		return -1;
	unsigned doublings = attempt > 0 ? attempt - 1 : 0;
	int64_t most = doublings >= 9 ? RETRY_DELAY_MAX : RETRY_DELAY_MIN << doublings;
	most = most > RETRY_DELAY_MAX ? RETRY_DELAY_MAX : most;
	int64_t delay = most / 2 + (int64_t)(random % (uint64_t)(most / 2 + 1));
	if (response->retry_after < 0)
		return delay;
	/* Every client was given the same moment: the jitter is added to it. */
	int64_t wanted = response->retry_after;
	return wanted >= delay ? wanted + (int64_t)(random % (uint64_t)RETRY_DELAY_MIN) : delay;
}

bool kube_server_minor(struct kube_client *client, unsigned *ret_minor, struct error *error)
{
	struct kube_response _cleanup_kube_response_ response;
	struct arena *_cleanup_arena_ arena = arena_new(0);
	json *root;
	const struct kube_request request = {
	        .path = "/version", .timeout = VERSION_TIMEOUT, .response_max = STATUS_MAX};
	kube_response_init(&response);
	if (arena == NULL)
		return error_set(error, "no memory");
	if (!kube_call(client, &request, &response, error))
		return false;
	if (json_parse(arena, buffer_text(&response.body), response.body.length, 0, &root, error) !=
	    JSON_FAITHFUL)
		return error_wrap(error, "GET /version");
	/* gitVersion, such as "v1.36.2"; the field minor may be "36+". */
	const char *version = json_get_string_or(root, "gitVersion", "");
	return kube_version_parse(version, ret_minor, error) || error_wrap(error, "GET /version");
}
