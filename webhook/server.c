#include "webhook/server.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/http/server.h"
#include "lib/http/metrics.h"
#include "lib/http/process_metrics.h"
#include "webhook/admission.h"
#include "webhook/breaker_table.h"
#include "webhook/review_log.h"

/* Bounds of the public port (lib/http/server.h). A review of usual size is 10 KiB; the API server
 * keeps at most 25 idle connections and closes them after 90 s. */
#define MEMORY_MAX       ((size_t)48 * 1024 * 1024)
#define MEMORY_EACH      ((size_t)24 * 1024 * 1024)
#define REQUESTS_MAX     256
#define REQUESTS_EACH    128
#define CONNECTIONS_MAX  512
#define CONNECTIONS_EACH 384
#define HEADER_SECONDS   3
#define BODY_SECONDS     10
#define IDLE_SECONDS     120

/* Clients share the memory for trees by the hash of their addresses; each place has half of it. */
#define ARENA_SHARES 64

/* Bounds of the metrics port, which the kubelet's probes and a few scrapers use. */
#define METRICS_CONNECTIONS_MAX  512
#define METRICS_CONNECTIONS_EACH 384
#define METRICS_RESPONSE_MAX     ((size_t)4 * 1024 * 1024)

struct snapshot {
	struct config *config;
	_Atomic unsigned references;
};

struct webhook_metrics {
	struct metrics *registry;
	struct process_metrics process;
	struct metric *results[ADMISSION_RESULT_COUNT];
	struct metric *skips[REASON_COUNT];
	struct metric *duration;
	struct metric *reloads_ok;
	struct metric *reloads_failed;
	struct metric *expiry;
	struct metric *rotations[WEBHOOK_ROTATIONS];
	struct metric *certificate_failures;
	struct metric *images_resolved;
	struct metric *images_failed;
	struct metric *breaker_read;
	struct metric *connections;
	struct metric *overloaded;
	struct metric *timed_out;
	struct metric *displaced;
};

struct webhook_server {
	struct http_server *https;
	struct http_server *plain;
	struct image_cache *images;
	struct breaker_table *breaker; /* NULL: there is none */
	struct webhook_metrics metrics;
	pthread_key_t arena; /* each thread's own */
	struct arena_budget arenas;
	struct arena_budget arena_shares[ARENA_SHARES]; /* of clients, by their addresses */
	_Atomic unsigned server_minor;
	_Atomic bool draining;
	_Atomic int64_t not_before; /* of the certificate in use, seconds since the epoch */
	_Atomic int64_t not_after;  /* 0: there is none */
	struct review_log log;

	pthread_mutex_t lock; /* of snapshot, the pointer, and obstacle */
	struct snapshot *snapshot;
	char obstacle[ERROR_MESSAGE_SIZE]; /* "": none */
};

/* ---- The configuration in force ---- */

static struct snapshot *snapshot_acquire(struct webhook_server *server)
{
	pthread_mutex_lock(&server->lock);
	struct snapshot *snapshot = server->snapshot;
	if (snapshot != NULL)
		atomic_fetch_add(&snapshot->references, 1);
	pthread_mutex_unlock(&server->lock);
	return snapshot;
}

static void snapshot_release(struct snapshot *snapshot)
{
	if (snapshot == NULL || atomic_fetch_sub(&snapshot->references, 1) > 1)
		return;
	config_free(snapshot->config);
	free(snapshot);
}

void webhook_set_config(struct webhook_server *server, struct config *config)
{
	struct snapshot *snapshot = calloc(1, sizeof *snapshot);
	if (snapshot == NULL) {
		config_free(config);
		webhook_config_failed(server);
		return;
	}
	snapshot->config = config;
	atomic_init(&snapshot->references, 1);
	pthread_mutex_lock(&server->lock);
	struct snapshot *old_snapshot = server->snapshot;
	server->snapshot = snapshot;
	pthread_mutex_unlock(&server->lock);
	snapshot_release(old_snapshot);
	metric_add(server->metrics.reloads_ok, 1);
}

void webhook_config_failed(struct webhook_server *server)
{
	metric_add(server->metrics.reloads_failed, 1);
}

/* ---- POST /mutate ---- */

static void free_arena(void *arena)
{
	arena_free(arena);
}

static struct arena *thread_arena(struct webhook_server *server)
{
	struct arena *arena = pthread_getspecific(server->arena);
	if (arena == NULL) {
		arena = arena_new_within(&server->arenas);
		if (arena != NULL)
			pthread_setspecific(server->arena, arena);
	}
	return arena;
}

static void count_review(struct webhook_server *server, const struct admission_response *response)
{
	metric_add(server->metrics.results[response->result], 1);
	for (unsigned i = 0; i < REASON_COUNT; i++)
		if (response->reasons & UINT64_C(1) << i)
			metric_add(server->metrics.skips[i], 1);
}

static bool is_json(const char *content_type)
{
	static const char json_type[] = "application/json";
	size_t length = sizeof json_type - 1;
	return content_type != NULL && strncasecmp(content_type, json_type, length) == 0 &&
	       strchr("; \t", content_type[length]) != NULL;
}

static void review(struct webhook_server *server, struct snapshot *snapshot, struct arena *arena,
                   const struct http_request *request, struct http_response *response)
{
	int64_t start = clock_now();
	struct admission_context context = {
	        .config = snapshot->config,
	        .server_minor = atomic_load(&server->server_minor),
	        .images = server->images,
	        .breaker = server->breaker,
	};
	struct admission_response reviewed = {.body = response->body};
	admission_review(&context, arena, request->body, request->length, &reviewed);
	response->body = reviewed.body;
	response->status = reviewed.status;
	if (reviewed.status == 200)
		response->content_type = "application/json";
	metric_observe(server->metrics.duration, (double)(clock_now() - start) / (double)SECOND);
	count_review(server, &reviewed);
	review_log_write(&server->log, request->client, &reviewed, clock_now());
}

static void on_webhook_request(void *context, const struct http_request *request,
                               struct http_response *response)
{
	struct webhook_server *server = context;
	if (strcmp(request->path, "/mutate") != 0) {
		http_response_text(response, 404, "expected the path /mutate\n");
		return;
	}
	if (strcmp(request->method, "POST") != 0) {
		response->allow = "POST";
		http_response_text(response, 405, "expected the method POST\n");
		return;
	}
	if (!is_json(request->content_type)) {
		http_response_text(response, 415, "expected the content type application/json\n");
		return;
	}
	struct arena *arena = thread_arena(server);
	struct snapshot *snapshot = snapshot_acquire(server);
	if (arena == NULL || snapshot == NULL) {
		http_response_text(response, 503, "not ready: no configuration or no memory\n");
	} else {
		arena_use_budget(arena, &server->arena_shares[connection_client_place(
		                                request->client, ARENA_SHARES)]);
		review(server, snapshot, arena, request, response);
		arena_reset(arena);
	}
	snapshot_release(snapshot);
}

/* ---- The metrics port ---- */

/* Copies the obstacle that was set, as a line; "": there is none. */
static void copy_obstacle(struct webhook_server *server, char ret_text[ERROR_MESSAGE_SIZE + 1])
{
	pthread_mutex_lock(&server->lock);
	snprintf(ret_text, ERROR_MESSAGE_SIZE + 1, "%s%s", server->obstacle,
	         server->obstacle[0] == '\0' ? "" : "\n");
	pthread_mutex_unlock(&server->lock);
}

void webhook_set_obstacle(struct webhook_server *server, const char *text)
{
	pthread_mutex_lock(&server->lock);
	snprintf(server->obstacle, sizeof server->obstacle, "%s", text == NULL ? "" : text);
	pthread_mutex_unlock(&server->lock);
}

/* Why the webhook is not ready; NULL: it is ready. obstacle is scratch memory. */
static const char *not_ready(struct webhook_server *server, char obstacle[ERROR_MESSAGE_SIZE + 1])
{
	int64_t now = (int64_t)time(NULL);
	copy_obstacle(server, obstacle);
	struct snapshot *snapshot = snapshot_acquire(server);
	snapshot_release(snapshot);
	if (atomic_load(&server->draining))
		return "shutting down\n";
	if (snapshot == NULL)
		return "no configuration\n";
	if (obstacle[0] != '\0')
		return obstacle;
	if (atomic_load(&server->not_after) == 0)
		return "no certificate\n";
	if (now < atomic_load(&server->not_before))
		return "the certificate is not valid yet\n";
	if (now >= atomic_load(&server->not_after))
		return "the certificate has expired\n";
	return NULL;
}

static void write_metrics(struct webhook_server *server, struct http_response *response)
{
	struct http_server_counts counts;
	http_server_counts(server->https, &counts);
	metric_set(server->metrics.connections, (double)counts.connections);
	metric_set(server->metrics.overloaded, (double)counts.overloaded);
	metric_set(server->metrics.timed_out, (double)counts.timed_out);
	metric_set(server->metrics.displaced, (double)counts.displaced);
	if (server->breaker != NULL)
		metric_set(server->metrics.breaker_read,
		           (double)breaker_table_read_at(server->breaker));
	response->content_type = "text/plain; version=0.0.4; charset=utf-8";
	process_metrics_update(&server->metrics.process);
	metrics_write(server->metrics.registry, &response->body);
}

static void on_plain_request(void *context, const struct http_request *request,
                             struct http_response *response)
{
	struct webhook_server *server = context;
	if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
		response->allow = "GET, HEAD";
		http_response_text(response, 405, "expected the method GET\n");
	} else if (strcmp(request->path, "/metrics") == 0) {
		write_metrics(server, response);
	} else if (strcmp(request->path, "/healthz") == 0) {
		http_response_text(response, 200, "ok\n");
	} else if (strcmp(request->path, "/readyz") == 0) {
		char obstacle[ERROR_MESSAGE_SIZE + 1];
		const char *reason = not_ready(server, obstacle);
		http_response_text(response, reason == NULL ? 200 : 503,
		                   reason == NULL ? "ok\n" : reason);
	} else {
		http_response_text(response, 404, "expected /metrics, /healthz or /readyz\n");
	}
}

/* ---- Metrics ---- */

static struct metric *single(struct metrics *registry, const struct metric_definition *definition,
                             const char *value)
{
	const char *const values[] = {value};
	return metric_get(metrics_add(registry, definition), values);
}

static const double duration_buckets[] = {0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025,
                                          0.005,   0.01,   0.025,   0.05,   0.1,   0.5};
static const struct metric_definition metric_build = {
        .type = METRIC_GAUGE,
        .name = "lastword_build_info",
        .help = "The version that runs; always 1.",
        .labels = {"version"},
};
static const struct metric_definition metric_requests = {
        .type = METRIC_COUNTER,
        .name = "lastword_admission_requests_total",
        .help = "Admission reviews by what came of them.",
        .labels = {"result"},
};
static const struct metric_definition metric_skips = {
        .type = METRIC_COUNTER,
        .name = "lastword_admission_skips_total",
        .help = "Reviews in which something was left alone, by reason.",
        .labels = {"reason"},
};
static const struct metric_definition metric_duration = {
        .type = METRIC_HISTOGRAM,
        .name = "lastword_admission_duration_seconds",
        .help = "Time to decide about a review and to make the response.",
        .buckets = duration_buckets,
        .bucket_count = sizeof duration_buckets / sizeof duration_buckets[0],
};
static const struct metric_definition metric_reloads = {
        .type = METRIC_COUNTER,
        .name = "lastword_config_reloads_total",
        .help = "Configurations read, by result.",
        .labels = {"result"},
};
static const struct metric_definition metric_expiry = {
        .type = METRIC_GAUGE,
        .name = "lastword_certificate_expiry_timestamp_seconds",
        .help = "End of validity of the certificate in use; 0: none.",
};
static const struct metric_definition metric_rotations = {
        .type = METRIC_COUNTER,
        .name = "lastword_certificate_rotations_total",
        .help = "Own certificates that this replica began to serve, and CAs that it created.",
        .labels = {"kind"},
};
static const struct metric_definition metric_images = {
        .type = METRIC_COUNTER,
        .name = "lastword_image_resolutions_total",
        .help = "Images that registries were asked about (resolveImages), by result.",
        .labels = {"result"},
};
static const struct metric_definition metric_breaker_read = {
        .type = METRIC_GAUGE,
        .name = "lastword_breaker_read_timestamp_seconds",
        .help = "When the state of the breaker was last read; 0: never.",
};
static const struct metric_definition metric_certificate_failures = {
        .type = METRIC_COUNTER,
        .name = "lastword_certificate_failures_total",
        .help = "Attempts to keep our own certificates that failed.",
};
static const struct metric_definition metric_connections = {
        .type = METRIC_GAUGE,
        .name = "lastword_http_connections",
        .help = "Connections to the webhook now open.",
};
static const struct metric_definition metric_overloaded = {
        .type = METRIC_COUNTER,
        .name = "lastword_http_overloaded_total",
        .help = "Requests answered with 503 because of too many at once.",
};
static const struct metric_definition metric_timed_out = {
        .type = METRIC_COUNTER,
        .name = "lastword_http_timeouts_total",
        .help = "Connections shut down past a deadline.",
};
static const struct metric_definition metric_displaced = {
        .type = METRIC_COUNTER,
        .name = "lastword_http_displaced_total",
        .help = "Connections shut down to make room for those of other addresses.",
};

static bool make_metrics(struct webhook_metrics *metrics)
{
	struct metrics *registry = metrics_new();
	if (registry == NULL)
		return false;
	metrics->registry = registry;
	metric_set(single(registry, &metric_build, LASTWORD_VERSION), 1);
	struct metric_family *family = metrics_add(registry, &metric_requests);
	for (unsigned i = 0; i < ADMISSION_RESULT_COUNT; i++) {
		const char *const values[] = {admission_result_name(i)};
		metrics->results[i] = metric_get(family, values);
	}
	family = metrics_add(registry, &metric_skips);
	for (unsigned i = REASON_APPLIED + 1; i < REASON_COUNT; i++) {
		const char *const values[] = {reason_code(i)};
		metrics->skips[i] = metric_get(family, values);
	}
	metrics->duration = single(registry, &metric_duration, NULL);
	family = metrics_add(registry, &metric_reloads);
	metrics->reloads_ok = metric_get(family, (const char *const[]){"success"});
	metrics->reloads_failed = metric_get(family, (const char *const[]){"failure"});
	metrics->expiry = single(registry, &metric_expiry, NULL);
	family = metrics_add(registry, &metric_rotations);
	metrics->rotations[WEBHOOK_ROTATION_CERTIFICATE] =
	        metric_get(family, (const char *const[]){"certificate"});
	metrics->rotations[WEBHOOK_ROTATION_CA] = metric_get(family, (const char *const[]){"ca"});
	family = metrics_add(registry, &metric_images);
	metrics->images_resolved = metric_get(family, (const char *const[]){"success"});
	metrics->images_failed = metric_get(family, (const char *const[]){"failure"});
	metrics->breaker_read = single(registry, &metric_breaker_read, NULL);
	metrics->certificate_failures = single(registry, &metric_certificate_failures, NULL);
	metrics->connections = single(registry, &metric_connections, NULL);
	metrics->overloaded = single(registry, &metric_overloaded, NULL);
	metrics->timed_out = single(registry, &metric_timed_out, NULL);
	metrics->displaced = single(registry, &metric_displaced, NULL);
	process_metrics_add(&metrics->process, registry);
	return true;
}

/* ---- Start and stop ---- */

static bool start_servers(struct webhook_server *server, const struct webhook_options *options,
                          struct error *error)
{
	struct http_server_options https = {
	        .address = options->listen,
	        .tls = true,
	        .threads = options->threads,
	        .body_max = ADMISSION_BODY_MAX,
	        .response_max = ADMISSION_RESPONSE_MAX,
	        .limits = {.connections = CONNECTIONS_MAX,
	                   .connections_each = CONNECTIONS_EACH,
	                   .requests = REQUESTS_MAX,
	                   .requests_each = REQUESTS_EACH,
	                   .bytes = MEMORY_MAX,
	                   .bytes_each = MEMORY_EACH},
	        .header_seconds = HEADER_SECONDS,
	        .body_seconds = BODY_SECONDS,
	        .idle_seconds = IDLE_SECONDS,
	        .handler = on_webhook_request,
	        .context = server,
	};
	struct http_server_options plain = https;
	plain.address = options->metrics;
	plain.tls = false;
	plain.threads = 1;
	plain.body_max = 1024;
	plain.response_max = METRICS_RESPONSE_MAX;
	plain.limits = (struct connection_limits){.connections = METRICS_CONNECTIONS_MAX,
	                                          .connections_each = METRICS_CONNECTIONS_EACH,
	                                          .requests = METRICS_CONNECTIONS_MAX,
	                                          .requests_each = METRICS_CONNECTIONS_EACH,
	                                          .bytes = 2 * METRICS_RESPONSE_MAX,
	                                          .bytes_each = METRICS_RESPONSE_MAX};
	plain.handler = on_plain_request;
	return http_server_start(&https, &server->https, error) &&
	       http_server_start(&plain, &server->plain, error);
}

bool webhook_start(const struct webhook_options *options, struct webhook_server **ret_server,
                   struct error *error)
{
	struct webhook_server *server = calloc(1, sizeof *server);
	if (server == NULL)
		return error_set(error, "no memory for the webhook");
	server->arenas.limit = ADMISSION_ARENA_MAX;
	for (size_t i = 0; i < ARENA_SHARES; i++) {
		server->arena_shares[i].limit = ADMISSION_ARENA_MAX / 2;
		server->arena_shares[i].whole = &server->arenas;
	}
	server->images = options->images;
	server->breaker = options->breaker;
	pthread_mutex_init(&server->lock, NULL);
	if (pthread_key_create(&server->arena, free_arena) != 0) {
		free(server);
		return error_set(error, "no thread-specific storage left");
	}
	if (!make_metrics(&server->metrics))
		error_set(error, "no memory for the metrics");
	else if (start_servers(server, options, error)) {
		*ret_server = server;
		return true;
	}
	webhook_stop(server, 0);
	return false;
}

const char *webhook_address(const struct webhook_server *server)
{
	return http_server_address(server->https);
}

const char *webhook_metrics_address(const struct webhook_server *server)
{
	return http_server_address(server->plain);
}

bool webhook_set_identity(struct webhook_server *server, const char *chain_pem, const char *key_pem,
                          struct error *error)
{
	time_t not_before;
	time_t not_after;
	if (!http_server_set_identity(server->https, chain_pem, key_pem, &not_before, &not_after,
	                              error))
		return false;
	atomic_store(&server->not_before, (int64_t)not_before);
	atomic_store(&server->not_after, (int64_t)not_after);
	metric_set(server->metrics.expiry, (double)not_after);
	return true;
}

void webhook_count_rotation(struct webhook_server *server, enum webhook_rotation rotation)
{
	metric_add(server->metrics.rotations[rotation], 1);
}

void webhook_count_certificate_failure(struct webhook_server *server)
{
	metric_add(server->metrics.certificate_failures, 1);
}

void webhook_count_image_resolution(struct webhook_server *server, bool ok)
{
	metric_add(ok ? server->metrics.images_resolved : server->metrics.images_failed, 1);
}

void webhook_set_server_minor(struct webhook_server *server, unsigned minor)
{
	atomic_store(&server->server_minor, minor);
}

void webhook_drain(struct webhook_server *server)
{
	atomic_store(&server->draining, true);
	http_server_drain(server->https);
}

void webhook_stop(struct webhook_server *server, unsigned seconds)
{
	if (server == NULL)
		return;
	if (server->https != NULL)
		http_server_quiesce(server->https, seconds);
	http_server_stop(server->https);
	http_server_stop(server->plain);
	metrics_free(server->metrics.registry);
	snapshot_release(server->snapshot);
	pthread_key_delete(server->arena);
	pthread_mutex_destroy(&server->lock);
	free(server);
}
