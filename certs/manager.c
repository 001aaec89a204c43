#include "certs/manager.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "certs/reconcile.h"
#include "lib/base/clock.h"
#include "lib/base/duration.h"
#include "lib/base/json_write.h"
#include "lib/base/stop_request.h"
#include "lib/kube/client.h"
#include "lib/base/timestamp.h"

#define INTERVAL_MIN  (SECOND / 10)
#define INTERVAL_MAX  (10 * SECOND)
#define BACKOFF_MAX   (30 * SECOND)
#define CONFLICT_WAIT (SECOND / 20)
#define REPEAT        (3600 * SECOND) /* of an event whose cause lasts */
#define STEPS_MAX     32              /* at once; a healthy start takes four */
#define EVENT_MAX     4096

struct certificate_manager {
	struct certificate_manager_options options;
	struct kube_client *client;
	struct reconciler reconciler;
	pthread_t thread;
	struct stop_request stop;

	/* Used by the thread alone: */
	struct error failure;         /* of the last reconcile; "": it succeeded */
	int64_t failure_reported_at;  /* monotonic */
	const char *waiting_for;      /* reported; static */
	unsigned failures;            /* in a row */
	int64_t expiring_reported_at; /* monotonic; 0: it was not */
	bool event_due;
};

static void read_clock(void *context, int64_t *ret_now, int64_t *ret_monotonic)
{
	(void)context;
	*ret_now = clock_wall();
	*ret_monotonic = clock_now();
}

static bool call(void *context, const struct kube_request *request, struct kube_response *response,
                 struct error *error)
{
	struct certificate_manager *manager = context;
	return kube_call(manager->client, request, response, error);
}

static bool use_certificate(void *context, const char *chain, const char *key, struct error *error)
{
	struct certificate_manager *manager = context;
	return manager->options.use_certificate(manager->options.context, chain, key, error);
}

static void report_event(struct certificate_manager *manager, enum certificate_event_type type,
                         bool repair, const char *reason, const char *error)
{
	const struct certificate_event news = {
	        .type = type, .repair = repair, .reason = reason, .error = error};
	manager->options.report_event(manager->options.context, &news);
}

/* ---- The pause between two reconciles ---- */

/* A random part of most, so that replicas that started together do not stay in step. */
static int64_t jitter(int64_t most)
{
	uint32_t random = 0;
	if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
		random = 0;
	return (int64_t)(random % 1000) * most / 1000;
}

static int64_t interval(const struct certificate_manager *manager)
{
	const struct rotate_policy *policy = &manager->options.policy;
	int64_t interval = policy->leaf_lifetime / 60;
	if (interval > policy->propagation_delay / 4)
		interval = policy->propagation_delay / 4;
	if (interval > INTERVAL_MAX)
		interval = INTERVAL_MAX;
	int64_t most =
	        policy->leaf_lifetime / 10 < BACKOFF_MAX ? policy->leaf_lifetime / 10 : BACKOFF_MAX;
	for (unsigned i = 0; i < manager->failures && interval < most; i++)
		interval *= 2;
	if (interval > most)
		interval = most;
	if (interval < INTERVAL_MIN)
		interval = INTERVAL_MIN;
	return interval - jitter(interval / 4);
}

/* ---- Events ---- */

static void report_reconcile(struct certificate_manager *manager,
                             const struct reconcile_report *report)
{
	const struct rotate_plan *plan = &report->plan;
	if (report->serves)
		report_event(manager, CERTIFICATE_IN_USE, false, NULL, NULL);
	if (report->wrote)
		report_event(manager,
		             plan->step == ROTATE_WRITE_BUNDLES ? CERTIFICATE_BUNDLES_WRITTEN
		             : plan->new_ca                     ? CERTIFICATE_CA_CREATED
		                                                : CERTIFICATE_SECRET_WRITTEN,
		             plan->repair, plan->reason, NULL);
	const char *waiting_for = plan->step == ROTATE_WAIT ? plan->reason : NULL;
	if (waiting_for != NULL && waiting_for != manager->waiting_for)
		report_event(manager, CERTIFICATE_WAITING, false, waiting_for, NULL);
	manager->waiting_for = waiting_for;
}

static void report_failure(struct certificate_manager *manager, const struct error *error,
                           int64_t monotonic)
{
	bool again = strcmp(error->message, manager->failure.message) != 0 ||
	             monotonic - manager->failure_reported_at >= REPEAT;
	manager->failure = *error;
	manager->failures++;
	manager->options.count_failure(manager->options.context);
	if (!again)
		return;
	manager->failure_reported_at = monotonic;
	report_event(manager, CERTIFICATE_RECONCILE_FAILED, false, NULL, error->message);
}

static void report_recovery(struct certificate_manager *manager)
{
	manager->failures = 0;
	if (manager->failure.message[0] == '\0')
		return;
	manager->failure.message[0] = '\0';
	report_event(manager, CERTIFICATE_RECONCILE_RECOVERED, false, NULL, NULL);
}

static void write_event(const struct certificate_manager *manager, int64_t now, struct buffer *body)
{
	const struct certificate_names *names = &manager->options.names;
	char time[TIMESTAMP_SIZE];
	char end[TIMESTAMP_SIZE];
	char host[256] = "";
	char message[1024]; /* the API's limit of a note */
	struct json_writer writer;
	gethostname(host, sizeof host - 1);
	timestamp_print(now / SECOND * SECOND, time);
	snprintf(time + strlen("2026-11-23T08:15:30"), 2, "Z"); /* metav1.Time has whole seconds */
	timestamp_print(manager->reconciler.serving.not_after, end);
	snprintf(message, sizeof message,
	         "The webhook's certificate expires at %s and is not renewed: %s", end,
	         manager->failure.message[0] != '\0' ? manager->failure.message
	         : manager->waiting_for != NULL      ? manager->waiting_for
	                                             : "the reason is not known");
	json_writer_init(&writer, body);
	json_write_object_begin(&writer);
	json_write_member(&writer, "apiVersion", "v1");
	json_write_member(&writer, "kind", "Event");
	json_write_key(&writer, "metadata");
	json_write_object_begin(&writer);
	json_write_key(&writer, "generateName");
	json_write_string(&writer, "lastword-certificate.");
	json_write_member(&writer, "namespace", names->namespace);
	json_write_object_end(&writer);
	json_write_key(&writer, "involvedObject");
	json_write_object_begin(&writer);
	json_write_member(&writer, "apiVersion", "v1");
	json_write_member(&writer, "kind", "Secret");
	json_write_member(&writer, "namespace", names->namespace);
	json_write_member(&writer, "name", names->secret);
	json_write_object_end(&writer);
	json_write_member(&writer, "type", "Warning");
	json_write_member(&writer, "reason", "CertificateExpiring");
	json_write_member(&writer, "message", message);
	json_write_member(&writer, "firstTimestamp", time);
	json_write_member(&writer, "lastTimestamp", time);
	json_write_member_integer(&writer, "count", 1);
	json_write_key(&writer, "source");
	json_write_object_begin(&writer);
	json_write_member(&writer, "component", "lastword-webhook");
	json_write_member(&writer, "host", host);
	json_write_object_end(&writer);
	json_write_member(&writer, "reportingComponent", "lastword-webhook");
	json_write_member(&writer, "reportingInstance", host);
	json_write_object_end(&writer);
}

/* If the Event cannot be created now, the next reconcile tries again: the API may be what fails. */
static void send_event(struct certificate_manager *manager, int64_t now)
{
	struct kube_response _cleanup_kube_response_ response;
	struct buffer _cleanup_buffer_ body;
	char path[256];
	kube_response_init(&response);
	buffer_init(&body, EVENT_MAX);
	write_event(manager, now, &body);
	snprintf(path, sizeof path, "/api/v1/namespaces/%s/events",
	         manager->options.names.namespace);
	const struct kube_request request = {.method = "POST",
	                                     .path = path,
	                                     .body = buffer_text(&body),
	                                     .body_length = body.length};
	if (buffer_ok(&body) && kube_call(manager->client, &request, &response, NULL))
		manager->event_due = false;
}

static void report_expiry(struct certificate_manager *manager, int64_t now, int64_t monotonic)
{
	const struct rotate_serving *serving = &manager->reconciler.serving;
	if (!serving->any || !rotate_nearly_over(serving->not_before, serving->not_after, now)) {
		manager->expiring_reported_at = 0;
		manager->event_due = false;
		return;
	}
	if (manager->expiring_reported_at == 0 ||
	    monotonic - manager->expiring_reported_at >= REPEAT) {
		manager->expiring_reported_at = monotonic;
		manager->event_due = true;
		report_event(manager, CERTIFICATE_EXPIRING, false, manager->waiting_for,
		             manager->failure.message[0] == '\0' ? NULL : manager->failure.message);
	}
	if (manager->event_due)
		send_event(manager, now);
}

static void report_readiness(struct certificate_manager *manager)
{
	char text[ERROR_MESSAGE_SIZE];
	const char *why = manager->failure.message[0] != '\0' ? manager->failure.message
	                  : manager->waiting_for != NULL      ? manager->waiting_for
	                                                      : "the first reconcile is under way";
	bool served = manager->reconciler.serving.any;
	if (served && rotate_is_published(&manager->reconciler.serving)) {
		manager->options.set_not_ready_reason(manager->options.context, NULL);
		return;
	}
	snprintf(text, sizeof text, "%s: %.600s",
	         served ? "the certificate's CA is not in every caBundle" : "no certificate", why);
	manager->options.set_not_ready_reason(manager->options.context, text);
}

/* ---- The thread ---- */

/* Reconciles until nothing is left that can be done at once. */
static void reconcile_until_done(struct certificate_manager *manager)
{
	struct error error;
	enum reconcile_result end = RECONCILE_AGAIN;
	int64_t now;
	int64_t monotonic;
	for (unsigned step = 0; end == RECONCILE_AGAIN && step < STEPS_MAX; step++) {
		struct reconcile_report report;
		end = reconcile(&manager->reconciler, &report, &error);
		if (stop_request_is_made(&manager->stop))
			return;
		report_reconcile(manager, &report);
		if (end == RECONCILE_AGAIN && !report.wrote)
			stop_request_wait(&manager->stop, jitter(CONFLICT_WAIT));
	}
	read_clock(NULL, &now, &monotonic);
	if (end == RECONCILE_FAILED)
		report_failure(manager, &error, monotonic);
	else
		report_recovery(manager);
	report_readiness(manager);
	report_expiry(manager, now, monotonic);
}

static void *run(void *context)
{
	struct certificate_manager *manager = context;
	while (!stop_request_is_made(&manager->stop)) {
		reconcile_until_done(manager);
		stop_request_wait(&manager->stop, interval(manager));
	}
	return NULL;
}

static void certificate_manager_free(struct certificate_manager *manager)
{
	kube_client_free(manager->client);
	stop_request_free(&manager->stop);
	free(manager);
}

bool certificate_manager_start(const struct certificate_manager_options *options,
                               struct certificate_manager **ret_manager, struct error *error)
{
	struct certificate_manager *manager = calloc(1, sizeof *manager);
	if (manager == NULL)
		return error_set(error, "no memory for the certificate manager");
	stop_request_init(&manager->stop);
	manager->options = *options;
	manager->reconciler = (struct reconciler){.names = &manager->options.names,
	                                          .policy = &manager->options.policy,
	                                          .context = manager,
	                                          .call = call,
	                                          .clock = read_clock,
	                                          .use_certificate = use_certificate};
	bool started = kube_client_new(options->service_account_dir, &manager->client, error);
	if (started && pthread_create(&manager->thread, NULL, run, manager) != 0)
		started = error_set(error, "cannot start the thread of the certificate manager");
	if (!started) {
		certificate_manager_free(manager);
		return false;
	}
	*ret_manager = manager;
	return true;
}

void certificate_manager_stop(struct certificate_manager *manager)
{
	if (manager == NULL)
		return;
	stop_request_make(&manager->stop);
	kube_stop(manager->client);
	pthread_join(manager->thread, NULL);
	certificate_manager_free(manager);
}
