#include "observer/guard/breaker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/log.h"
#include "lib/base/timestamp.h"
#include "lib/kube/names.h"
#include "observer/guard/injection_fault.h"
#include "observer/guard/subject.h"
#include "observer/notify/event.h"
#include "observer/notify/event_post.h"

#define PATCH_MAX ((size_t)4 * 1024 * 1024)
#define EVENT_MAX ((size_t)16 * 1024)
/* One that waited for longer says nothing about the present: its pod was reported again, or is
 * gone. */
#define PENDING_AGE_MAX (600 * SECOND)
#define CONFLICT        (SECOND / 10) /* until it is read again, and as much at random */

struct pending_report {
	uint64_t number;
	int64_t reported_at; /* on the clock of the event loop */
	enum breaker_report_kind kind;
	struct breaker_subject subject;
	char reason[32];
	char container[64];
	char message[256];
	bool opened; /* it opened the breaker in breaker.next */
};

static void step(void *context);
static void hook_hangs(void *context, const struct breaker_subject *pod);

bool breaker_init(struct breaker *breaker, struct event_loop *loop,
                  struct observer_metrics *metrics, const struct breaker_options *options,
                  struct error *error)
{
	*breaker = (struct breaker){.loop = loop,
	                            .metrics = metrics,
	                            .options = *options,
	                            .timer = {.fire = step, .context = breaker}};
	hook_check_init(&breaker->hooks, loop, hook_hangs, breaker);
	return options->config_map == NULL ||
	       breaker_place_parse(options->config_map, &breaker->place, error);
}

static void free_pending(struct breaker *breaker)
{
	for (size_t i = 0; i < breaker->pending_count; i++)
		free(breaker->pending[i]);
	breaker->pending_count = 0;
}

void breaker_free(struct breaker *breaker)
{
	if (breaker->loop == NULL)
		return;
	event_loop_cancel_request(breaker->loop, breaker->request);
	event_loop_clear_timer(breaker->loop, &breaker->timer);
	hook_check_free(&breaker->hooks);
	free_pending(breaker);
	breaker_state_free(&breaker->state);
	breaker_state_free(&breaker->next);
	*breaker = (struct breaker){.loop = NULL};
}

static void schedule(struct breaker *breaker, int64_t delay)
{
	event_loop_set_timer(breaker->loop, &breaker->timer, breaker->loop->now + delay);
}

/* ---- Notifications ---- */

static void log_entry(const struct breaker_entry *entry, const char *message)
{
	struct log_line line;
	log_begin(&line, entry->position == BREAKER_OPEN ? LOG_WARNING : LOG_INFO, message);
	log_text(&line, "namespace", entry->namespace);
	log_text(&line, "reason", entry->reason[0] == '\0' ? NULL : entry->reason);
	log_text(&line, "pod", entry->pod[0] == '\0' ? NULL : entry->pod);
	log_text(&line, "detail", entry->message[0] == '\0' ? NULL : entry->message);
	log_end(&line);
}

static void announce_entry(struct breaker *breaker, const struct breaker_entry *entry,
                           const struct breaker_entry *before)
{
	enum breaker_position was = before == NULL ? BREAKER_CLOSED : before->position;
	bool again = before != NULL && before->since != entry->since;
	observer_metrics_set_breaker(breaker->metrics, entry->namespace,
	                             entry->position != BREAKER_CLOSED);
	if (entry->position == BREAKER_OPEN && (was != BREAKER_OPEN || again))
		log_entry(entry, "the breaker is open: no pod of the namespace is wrapped");
	else if (entry->position == BREAKER_HALF_OPEN && was != BREAKER_HALF_OPEN)
		log_entry(entry, "the breaker is half-open: one pod of the namespace is wrapped");
	else if (entry->position == BREAKER_CLOSED && was != BREAKER_CLOSED)
		log_entry(entry, "the breaker is closed");
}

/* Takes over a state that is in the ConfigMap now; what is different is logged and counted. */
static void take_over(struct breaker *breaker, struct breaker_state *state)
{
	for (size_t i = 0; i < state->count; i++)
		announce_entry(breaker, &state->entries[i],
		               breaker_state_find(&breaker->state, state->entries[i].namespace));
	for (size_t i = 0; i < breaker->state.count; i++)
		if (breaker_state_find(state, breaker->state.entries[i].namespace) == NULL)
			observer_metrics_set_breaker(breaker->metrics,
			                             breaker->state.entries[i].namespace, false);
	breaker_state_free(&breaker->state);
	breaker->state = *state;
	*state = (struct breaker_state){.entries = NULL};
}

static void send_event(struct breaker *breaker, const struct pending_report *report, bool owner,
                       const struct breaker_entry *entry)
{
	char name[EVENT_NAME_SIZE];
	char message[EVENT_MESSAGE_MAX];
	char until[TIMESTAMP_SIZE];
	struct buffer body;
	timestamp_print(entry->until, until);
	snprintf(message, sizeof message,
	         "The breaker of namespace %s is open: new agent pods are not wrapped, since %s "
	         "(%s, container %s: %s). One pod is tried again at %.19sZ.",
	         entry->namespace,
	         report->kind == BREAKER_REFUSAL
	                 ? "the API server refused a pod because of lastword"
	                 : "this pod cannot start because of lastword",
	         report->reason, report->container, report->message, until);
	snprintf(name, sizeof name, "lastword.%.64s.breaker-%" PRId64 ".%s",
	         report->subject.uid[0] == '\0' ? report->subject.owner_uid : report->subject.uid,
	         entry->since / SECOND, owner ? "owner" : "pod");
	buffer_init(&body, EVENT_MAX);
	subject_event_write(&report->subject, owner, report->container, name, message,
	                    breaker->loop->wall, &body);
	event_post(breaker->loop, entry->namespace, &body, NULL, NULL);
}

static void notify(struct breaker *breaker, const struct pending_report *report)
{
	const struct breaker_entry *entry =
	        breaker_state_find(&breaker->state, report->subject.namespace);
	if (entry == NULL)
		return;
	if (report->subject.pod[0] != '\0')
		send_event(breaker, report, false, entry);
	if (report->subject.owner_uid[0] != '\0')
		send_event(breaker, report, true, entry);
}

/* ---- Reports ---- */

static struct breaker_report report_of(const struct pending_report *pending)
{
	const struct breaker_subject *subject = &pending->subject;
	return (struct breaker_report){
	        .kind = pending->kind,
	        .namespace = subject->namespace,
	        .at = subject->at,
	        .trial = subject->trial,
	        .cause = {.reason = pending->reason,
	                  .message = pending->message,
	                  .pod = subject->pod[0] != '\0' ? subject->pod : subject->owner_name},
	};
}

static bool copy_state(const struct breaker_state *from, struct breaker_state *ret_state)
{
	struct breaker_state state = {.entries = NULL};
	size_t size = from->count + 1;
	state.entries = calloc(size, sizeof *state.entries);
	if (state.entries == NULL)
		return false;
	state.size = size;
	state.count = from->count;
	if (from->count > 0)
		memcpy(state.entries, from->entries, from->count * sizeof *state.entries);
	*ret_state = state;
	return true;
}

/* By what was read last it changes something; unknown: it may. Only its own namespace matters. */
static bool is_worth_it(const struct breaker *breaker, const struct pending_report *pending)
{
	struct breaker_entry one;
	struct breaker_state state = {.entries = NULL};
	const struct breaker_report report = report_of(pending);
	if (!breaker->known)
		return true;
	const struct breaker_entry *entry =
	        breaker_state_find(&breaker->state, pending->subject.namespace);
	if (entry == NULL)
		return report.kind == BREAKER_FAULT || report.kind == BREAKER_REFUSAL;
	one = *entry;
	state = (struct breaker_state){.entries = &one, .count = 1, .size = 1};
	return breaker_rules_take(&state, &report, breaker->loop->wall, breaker->options.open_for);
}

static bool is_like(const struct pending_report *a, const struct pending_report *b)
{
	return a->kind == b->kind && strcmp(a->subject.namespace, b->subject.namespace) == 0;
}

/* The place of the report of that kind about that namespace, or a new one; NULL: none is free, or
 * the one that is there is of a later trial. */
static struct pending_report *place_for(struct breaker *breaker, const struct pending_report *like)
{
	for (size_t i = 0; i < breaker->pending_count; i++)
		if (is_like(breaker->pending[i], like))
			return breaker->pending[i]->subject.trial > like->subject.trial
			               ? NULL
			               : breaker->pending[i];
	if (breaker->pending_count == BREAKER_PENDING_MAX)
		return NULL;
	struct pending_report *report = malloc(sizeof *report);
	if (report != NULL)
		breaker->pending[breaker->pending_count++] = report;
	return report;
}

static void keep(struct breaker *breaker, struct pending_report *report)
{
	if (breaker->options.config_map == NULL || !is_worth_it(breaker, report))
		return;
	struct pending_report *place = place_for(breaker, report);
	if (place == NULL)
		return;
	report->number = ++breaker->reports;
	report->reported_at = breaker->loop->now;
	*place = *report;
	if (breaker->leader && breaker->request == NULL)
		schedule(breaker, 0);
}

static void keep_pod(struct breaker *breaker, const struct pod *pod, enum breaker_report_kind kind,
                     const struct injection_fault *fault)
{
	struct pending_report report = {.kind = kind};
	subject_of_pod(pod, &report.subject);
	if (fault != NULL) {
		snprintf(report.reason, sizeof report.reason, "%s", fault->reason);
		snprintf(report.container, sizeof report.container, "%s", fault->container);
		snprintf(report.message, sizeof report.message, "%s",
		         fault->message == NULL ? "" : fault->message);
	}
	keep(breaker, &report);
}

void breaker_take_pod(struct breaker *breaker, const struct pod *pod, bool gone)
{
	struct injection_fault fault;
	if (breaker->options.config_map == NULL || !pod->injected || !pod->watchdog)
		return;
	hook_check_take(&breaker->hooks, pod, !gone && injection_may_hang(pod));
	if (injection_fault_read(pod, breaker->loop->wall, &fault))
		keep_pod(breaker, pod, BREAKER_FAULT, &fault);
	else if (pod->breaker_trial != 0)
		keep_pod(breaker, pod,
		         injection_succeeded(pod)       ? BREAKER_STARTED
		         : gone || pod->deleted_at != 0 ? BREAKER_GONE
		                                        : BREAKER_SEEN,
		         NULL);
}

static void hook_hangs(void *context, const struct breaker_subject *pod)
{
	struct breaker *breaker = context;
	struct pending_report report = {.kind = BREAKER_FAULT,
	                                .subject = *pod,
	                                .reason = "hook-hangs",
	                                .container = NAME_WATCHDOG,
	                                .message = "the postStart hook does not return"};
	keep(breaker, &report);
}

void breaker_take_refusal(struct breaker *breaker, const struct breaker_refusal *refusal)
{
	struct pending_report report = {
	        .kind = BREAKER_REFUSAL, .reason = "refused", .container = NAME_WATCHDOG};
	struct breaker_subject *subject = &report.subject;
	subject->at = refusal->at;
	snprintf(subject->namespace, sizeof subject->namespace, "%s", refusal->namespace);
	snprintf(subject->owner_api_version, sizeof subject->owner_api_version, "%s",
	         refusal->api_version);
	snprintf(subject->owner_kind, sizeof subject->owner_kind, "%s", refusal->kind);
	snprintf(subject->owner_name, sizeof subject->owner_name, "%s", refusal->name);
	snprintf(subject->owner_uid, sizeof subject->owner_uid, "%s", refusal->uid);
	snprintf(report.message, sizeof report.message, "%s", refusal->message);
	keep(breaker, &report);
}

/* Those that are in the ConfigMap now, or changed nothing; the owner or pod of what was opened is
 * notified. */
static void drop_taken(struct breaker *breaker)
{
	size_t kept = 0;
	for (size_t i = 0; i < breaker->pending_count; i++) {
		struct pending_report *report = breaker->pending[i];
		if (report->number > breaker->taken) {
			breaker->pending[kept++] = report;
			continue;
		}
		if (report->opened)
			notify(breaker, report);
		free(report);
	}
	breaker->pending_count = kept;
}

/* ---- Reading and writing ---- */

static void failed(struct breaker *breaker, const char *what, const struct error *error)
{
	if (!breaker->failed)
		log_message(LOG_ERROR, what, "error", error->message, NULL);
	breaker->failed = true;
	schedule(breaker, BREAKER_INTERVAL);
}

/* Until the next read: BREAKER_INTERVAL, or until an open breaker becomes half-open. */
static int64_t wait_of(const struct breaker *breaker)
{
	int64_t wait = BREAKER_INTERVAL;
	for (size_t i = 0; i < breaker->state.count; i++) {
		const struct breaker_entry *entry = &breaker->state.entries[i];
		if (entry->position == BREAKER_OPEN && entry->until != 0)
			wait = clock_earlier(wait, entry->until - breaker->loop->wall);
	}
	/* One that is due was not changed: it is of another namespace than is watched. */
	return wait > 0 ? wait : BREAKER_INTERVAL;
}

static void done(struct breaker *breaker)
{
	if (breaker->failed)
		log_message(LOG_INFO, "the breaker's state is read and written again", NULL);
	breaker->failed = false;
	drop_taken(breaker);
	schedule(breaker, breaker->pending_count > 0 ? 0 : wait_of(breaker));
}

static bool send(struct breaker *breaker, const char *method, struct buffer *body,
                 request_finish *finish)
{
	size_t length = body == NULL ? 0 : body->length;
	const struct request request = {
	        .kube = {.method = method,
	                 .path = request_path("/api/v1/namespaces/%s/configmaps/%s",
	                                      breaker->place.namespace, breaker->place.name),
	                 .content_type = body == NULL ? NULL : KUBE_MERGE_PATCH,
	                 .body = body == NULL ? NULL : buffer_steal(body),
	                 .body_length = length,
	                 .response_max = BREAKER_OBJECT_MAX},
	        .priority = REQUEST_URGENT,
	        .finish = finish,
	        .context = breaker,
	};
	breaker->request = event_loop_add_request(breaker->loop, &request);
	if (breaker->request == NULL)
		schedule(breaker, BREAKER_INTERVAL);
	return breaker->request != NULL;
}

static void written(void *context, struct kube_response *response, const struct error *error)
{
	struct breaker *breaker = context;
	struct event_loop *loop = breaker->loop;
	breaker->request = NULL;
	if (error != NULL && response->status == 409) { /* another one wrote */
		schedule(breaker,
		         CONFLICT + (int64_t)(event_loop_random(loop) % (uint64_t)CONFLICT));
	} else if (error != NULL) {
		failed(breaker, "the breaker's state cannot be written", error);
	} else {
		take_over(breaker, &breaker->next);
		done(breaker);
	}
}

/* Makes the next state of what was read and reported. True: it is another one. */
static bool make_next(struct breaker *breaker)
{
	int64_t now = breaker->loop->wall;
	breaker_state_free(&breaker->next);
	if (!copy_state(&breaker->state, &breaker->next))
		return false;
	bool changed = breaker_rules_advance(&breaker->next, breaker->options.watch_namespace, now);
	breaker->taken = breaker->reports;
	for (size_t i = 0; i < breaker->pending_count; i++) {
		struct pending_report *pending = breaker->pending[i];
		const struct breaker_report report = report_of(pending);
		bool recent = breaker->loop->now - pending->reported_at < PENDING_AGE_MAX;
		bool taken = recent && breaker_rules_take(&breaker->next, &report, now,
		                                          breaker->options.open_for);
		pending->opened = taken && (pending->kind == BREAKER_FAULT ||
		                            pending->kind == BREAKER_REFUSAL);
		changed = changed || taken;
	}
	return changed;
}

static void write_next(struct breaker *breaker)
{
	struct buffer body;
	struct error error = {"the state is too large"};
	buffer_init(&body, PATCH_MAX);
	breaker_config_map_patch(&breaker->next, breaker->version, &body);
	if (buffer_ok(&body)) {
		send(breaker, "PATCH", &body, written);
	} else {
		failed(breaker, "the breaker's state cannot be written", &error);
	}
	buffer_free(&body);
}

static void read(void *context, struct kube_response *response, const struct error *error)
{
	struct breaker *breaker = context;
	struct breaker_state state;
	struct error problem;
	breaker->request = NULL;
	if (error != NULL) {
		failed(breaker, "the breaker's state cannot be read", error);
	} else if (!breaker_config_map_parse(buffer_text(&response->body), response->body.length,
	                                     &state, breaker->version, &problem)) {
		failed(breaker, "the breaker's state cannot be read", &problem);
	} else {
		take_over(breaker, &state);
		breaker->known = true;
		if (make_next(breaker))
			write_next(breaker);
		else
			done(breaker);
	}
}

static void step(void *context)
{
	struct breaker *breaker = context;
	if (breaker->leader && breaker->request == NULL)
		send(breaker, NULL, NULL, read);
}

void breaker_set_leader(struct breaker *breaker, bool leader)
{
	struct breaker_state none = {.entries = NULL};
	breaker->leader = leader;
	hook_check_set_leader(&breaker->hooks, leader);
	if (breaker->options.config_map == NULL)
		return;
	event_loop_cancel_request(breaker->loop, breaker->request);
	event_loop_clear_timer(breaker->loop, &breaker->timer);
	breaker->request = NULL;
	breaker->known = false;
	take_over(breaker, &none); /* the metric is the leader's */
	if (leader)
		schedule(breaker, 0);
}
