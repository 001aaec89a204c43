#include "certs/manager.h"

#include <errno.h>
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
#include "lib/kube/client.h"
#include "lib/base/timestamp.h"

#define INTERVAL_MIN  (SECOND / 10)
#define INTERVAL_MAX  (10 * SECOND)
#define BACKOFF_MAX   (30 * SECOND)
#define CONFLICT_WAIT (SECOND / 20)
#define REPEAT        (3600 * SECOND)
#define STEPS_MAX     32 /* at once; a healthy start takes four */
#define EVENT_MAX     4096

struct keeper {
	struct keeper_options options;
	struct kube_client *client;
	struct round round;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping;

	/* The thread's own: */
	struct error failure;  /* "" when all is well */
	int64_t failure_told;  /* monotonic */
	const char *waits_for; /* told; static */
	unsigned failures;     /* one after the other */
	int64_t running_out;   /* monotonic: when it was told last; 0: not */
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
	struct keeper *keeper = context;
	return kube_call(keeper->client, request, response, error);
}

static bool use(void *context, const char *chain, const char *key, struct error *error)
{
	struct keeper *keeper = context;
	return keeper->options.use(keeper->options.context, chain, key, error);
}

static void tell(struct keeper *keeper, enum keeper_event event, bool healing, const char *reason,
                 const char *error)
{
	const struct keeper_news news = {
	        .event = event, .healing = healing, .reason = reason, .error = error};
	keeper->options.tell(keeper->options.context, &news);
}

/* ---- A rest between rounds ---- */

static bool is_stopping(struct keeper *keeper)
{
	pthread_mutex_lock(&keeper->lock);
	bool stopping = keeper->stopping;
	pthread_mutex_unlock(&keeper->lock);
	return stopping;
}

static void rest(struct keeper *keeper, int64_t nanoseconds)
{
	int64_t end = clock_now() + nanoseconds;
	struct timespec until = {.tv_sec = end / SECOND, .tv_nsec = end % SECOND};
	pthread_mutex_lock(&keeper->lock);
	while (!keeper->stopping &&
	       pthread_cond_timedwait(&keeper->wake, &keeper->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&keeper->lock);
}

/* Replicas that start together do not stay in step. */
static int64_t jitter(int64_t most)
{
	uint32_t random = 0;
	if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
		random = 0;
	return (int64_t)(random % 1000) * most / 1000;
}

static int64_t interval(const struct keeper *keeper)
{
	const struct rotate_policy *policy = &keeper->options.policy;
	int64_t interval = policy->leaf_lifetime / 60;
	if (interval > policy->settle / 4)
		interval = policy->settle / 4;
	if (interval > INTERVAL_MAX)
		interval = INTERVAL_MAX;
	int64_t most =
	        policy->leaf_lifetime / 10 < BACKOFF_MAX ? policy->leaf_lifetime / 10 : BACKOFF_MAX;
	for (unsigned i = 0; i < keeper->failures && interval < most; i++)
		interval *= 2;
	if (interval > most)
		interval = most;
	if (interval < INTERVAL_MIN)
		interval = INTERVAL_MIN;
	return interval - jitter(interval / 4);
}

/* ---- What is told ---- */

static void tell_round(struct keeper *keeper, const struct round_report *report)
{
	const struct rotate_plan *plan = &report->plan;
	if (report->serves)
		tell(keeper, KEEPER_CERTIFICATE_IN_USE, false, NULL, NULL);
	if (report->wrote)
		tell(keeper,
		     plan->step == ROTATE_WRITE_BUNDLES ? KEEPER_BUNDLES_WRITTEN
		     : plan->new_authority              ? KEEPER_AUTHORITY_MADE
		                                        : KEEPER_SECRET_WRITTEN,
		     plan->healing, plan->reason, NULL);
	const char *waits_for = plan->step == ROTATE_WAIT ? plan->reason : NULL;
	if (waits_for != NULL && waits_for != keeper->waits_for)
		tell(keeper, KEEPER_WAITS, false, waits_for, NULL);
	keeper->waits_for = waits_for;
}

static void tell_failure(struct keeper *keeper, const struct error *error, int64_t monotonic)
{
	bool again = strcmp(error->message, keeper->failure.message) != 0 ||
	             monotonic - keeper->failure_told >= REPEAT;
	keeper->failure = *error;
	keeper->failures++;
	keeper->options.failed(keeper->options.context);
	if (!again)
		return;
	keeper->failure_told = monotonic;
	tell(keeper, KEEPER_FAILED, false, NULL, error->message);
}

static void tell_recovery(struct keeper *keeper)
{
	keeper->failures = 0;
	if (keeper->failure.message[0] == '\0')
		return;
	keeper->failure.message[0] = '\0';
	tell(keeper, KEEPER_RECOVERED, false, NULL, NULL);
}

static void write_event(const struct keeper *keeper, int64_t now, struct buffer *body)
{
	const struct publish_names *names = &keeper->options.names;
	char time[TIMESTAMP_SIZE];
	char end[TIMESTAMP_SIZE];
	char host[256] = "";
	char message[1024]; /* the API's limit of a note */
	struct json_writer writer;
	gethostname(host, sizeof host - 1);
	timestamp_print(now / SECOND * SECOND, time);
	snprintf(time + strlen("2026-11-23T08:15:30"), 2, "Z"); /* metav1.Time has whole seconds */
	timestamp_print(keeper->round.serving.not_after, end);
	snprintf(message, sizeof message,
	         "The webhook's certificate ends at %s and is not renewed: %s", end,
	         keeper->failure.message[0] != '\0' ? keeper->failure.message
	         : keeper->waits_for != NULL        ? keeper->waits_for
	                                            : "no reason known");
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
	json_write_member(&writer, "reason", "CertificateRunsOut");
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

/* An Event that cannot be made now is tried again in the next round: the API may be what fails. */
static void send_event(struct keeper *keeper, int64_t now)
{
	struct kube_response _cleanup_kube_response_ response;
	struct buffer _cleanup_buffer_ body;
	char path[256];
	kube_response_init(&response);
	buffer_init(&body, EVENT_MAX);
	write_event(keeper, now, &body);
	snprintf(path, sizeof path, "/api/v1/namespaces/%s/events",
	         keeper->options.names.namespace);
	const struct kube_request request = {.method = "POST",
	                                     .path = path,
	                                     .body = buffer_text(&body),
	                                     .body_length = body.length};
	if (buffer_ok(&body) && kube_call(keeper->client, &request, &response, NULL))
		keeper->event_due = false;
}

static void warn(struct keeper *keeper, int64_t now, int64_t monotonic)
{
	const struct rotate_serving *serving = &keeper->round.serving;
	if (!serving->any || !rotate_nearly_over(serving->not_before, serving->not_after, now)) {
		keeper->running_out = 0;
		keeper->event_due = false;
		return;
	}
	if (keeper->running_out == 0 || monotonic - keeper->running_out >= REPEAT) {
		keeper->running_out = monotonic;
		keeper->event_due = true;
		tell(keeper, KEEPER_RUNS_OUT, false, keeper->waits_for,
		     keeper->failure.message[0] == '\0' ? NULL : keeper->failure.message);
	}
	if (keeper->event_due)
		send_event(keeper, now);
}

static void report_obstacle(struct keeper *keeper)
{
	char text[ERROR_MESSAGE_SIZE];
	const char *why = keeper->failure.message[0] != '\0' ? keeper->failure.message
	                  : keeper->waits_for != NULL        ? keeper->waits_for
	                                                     : "not yet done";
	bool served = keeper->round.serving.any;
	if (served && rotate_published(&keeper->round.serving)) {
		keeper->options.obstacle(keeper->options.context, NULL);
		return;
	}
	snprintf(text, sizeof text, "%s: %.600s",
	         served ? "the certificate is not published" : "no certificate", why);
	keeper->options.obstacle(keeper->options.context, text);
}

/* ---- The thread ---- */

/* Rounds until there is nothing more to do at once. */
static void work(struct keeper *keeper)
{
	struct error error;
	enum round_end end = ROUND_AGAIN;
	int64_t now;
	int64_t monotonic;
	for (unsigned step = 0; end == ROUND_AGAIN && step < STEPS_MAX; step++) {
		struct round_report report;
		end = round_run(&keeper->round, &report, &error);
		if (is_stopping(keeper))
			return;
		tell_round(keeper, &report);
		if (end == ROUND_AGAIN && !report.wrote)
			rest(keeper, jitter(CONFLICT_WAIT));
	}
	read_clock(NULL, &now, &monotonic);
	if (end == ROUND_FAILED)
		tell_failure(keeper, &error, monotonic);
	else
		tell_recovery(keeper);
	report_obstacle(keeper);
	warn(keeper, now, monotonic);
}

static void *run(void *context)
{
	struct keeper *keeper = context;
	while (!is_stopping(keeper)) {
		work(keeper);
		rest(keeper, interval(keeper));
	}
	return NULL;
}

static void keeper_free(struct keeper *keeper)
{
	kube_client_free(keeper->client);
	pthread_cond_destroy(&keeper->wake);
	pthread_mutex_destroy(&keeper->lock);
	free(keeper);
}

bool keeper_start(const struct keeper_options *options, struct keeper **ret_keeper,
                  struct error *error)
{
	pthread_condattr_t monotonic;
	struct keeper *keeper = calloc(1, sizeof *keeper);
	if (keeper == NULL)
		return error_set(error, "no memory for the certificates");
	pthread_mutex_init(&keeper->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&keeper->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	keeper->options = *options;
	keeper->round = (struct round){.names = &keeper->options.names,
	                               .policy = &keeper->options.policy,
	                               .context = keeper,
	                               .call = call,
	                               .clock = read_clock,
	                               .use = use};
	bool started = kube_client_new(options->account, &keeper->client, error);
	if (started && pthread_create(&keeper->thread, NULL, run, keeper) != 0)
		started = error_set(error, "no thread for the certificates");
	if (!started) {
		keeper_free(keeper);
		return false;
	}
	*ret_keeper = keeper;
	return true;
}

void keeper_stop(struct keeper *keeper)
{
	if (keeper == NULL)
		return;
	pthread_mutex_lock(&keeper->lock);
	keeper->stopping = true;
	pthread_cond_signal(&keeper->wake);
	pthread_mutex_unlock(&keeper->lock);
	kube_stop(keeper->client);
	pthread_join(keeper->thread, NULL);
	keeper_free(keeper);
}
