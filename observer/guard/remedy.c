#include "observer/guard/remedy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/json_write.h"
#include "lib/base/log.h"
#include "observer/notify/event.h"
#include "observer/notify/event_post.h"
#include "observer/pod/pod.h"

#define BODY_MAX ((size_t)16 * 1024)
#define DEADLINE 1 /* seconds; 0 is no valid activeDeadlineSeconds */

struct remedy_pod {
	struct remedy_pod *next;
	struct termination *facts;
	int64_t due; /* on the clock of the event loop */
	unsigned attempts;
	bool notified;
};

static void step(void *context);

void remedy_init(struct remedy *remedy, struct event_loop *loop, struct observer_metrics *metrics,
                 bool enabled)
{
	*remedy = (struct remedy){.loop = loop,
	                          .metrics = metrics,
	                          .enabled = enabled,
	                          .reader = {.loop = loop},
	                          .timer = {.fire = step, .context = remedy}};
}

/* ---- The pods ---- */

static void take_out(struct remedy *remedy, struct remedy_pod *pod)
{
	struct remedy_pod **place = &remedy->first;
	while (*place != pod)
		place = &(*place)->next;
	*place = pod->next;
	remedy->count--;
	free(pod->facts);
	free(pod);
}

void remedy_free(struct remedy *remedy)
{
	if (remedy->loop == NULL)
		return;
	event_loop_cancel_request(remedy->loop, remedy->request);
	event_loop_clear_timer(remedy->loop, &remedy->timer);
	pod_reader_cancel(&remedy->reader);
	while (remedy->first != NULL)
		take_out(remedy, remedy->first);
	*remedy = (struct remedy){.loop = NULL};
}

static void set_timer(struct remedy *remedy)
{
	int64_t due = INT64_MAX;
	for (const struct remedy_pod *pod = remedy->first; pod != NULL; pod = pod->next)
		due = clock_earlier(due, pod->due);
	if (due == INT64_MAX || remedy->current != NULL)
		event_loop_clear_timer(remedy->loop, &remedy->timer);
	else
		event_loop_set_timer(remedy->loop, &remedy->timer, due);
}

static bool is_known(const struct remedy *remedy, const char *uid)
{
	for (const struct remedy_pod *pod = remedy->first; pod != NULL; pod = pod->next)
		if (strcmp(pod->facts->uid, uid) == 0)
			return true;
	return false;
}

void remedy_begin(struct remedy *remedy, const struct termination *termination)
{
	if (!remedy->enabled || remedy->count >= REMEDY_PODS_MAX ||
	    is_known(remedy, termination->uid))
		return;
	struct remedy_pod *pod = calloc(1, sizeof *pod);
	if (pod != NULL)
		pod->facts = termination_copy(termination, 0);
	if (pod == NULL || pod->facts == NULL) {
		free(pod);
		return;
	}
	pod->due = remedy->loop->now;
	pod->next = remedy->first;
	remedy->first = pod;
	remedy->count++;
	set_timer(remedy);
}

/* Ends its turn. */
static void finish(struct remedy *remedy)
{
	struct remedy_pod *pod = remedy->current;
	remedy->current = NULL;
	take_out(remedy, pod);
	set_timer(remedy);
}

static void try_later(struct remedy *remedy)
{
	remedy->current->due = remedy->loop->now + REMEDY_AGAIN;
	remedy->current = NULL;
	set_timer(remedy);
}

static void failed(struct remedy *remedy, const struct error *error)
{
	struct remedy_pod *pod = remedy->current;
	if (++pod->attempts < REMEDY_ATTEMPTS_MAX) {
		try_later(remedy);
		return;
	}
	log_message(LOG_ERROR, "a silent pod could not be failed", "namespace",
	            pod->facts->namespace, "pod", pod->facts->pod, "error", error->message, NULL);
	finish(remedy);
}

/* ---- NOTIFY ---- */

static void notify(struct remedy *remedy, struct remedy_pod *pod)
{
	char name[EVENT_NAME_SIZE];
	char message[300];
	struct buffer body;
	const struct event_text text = {.reason = "AgentPodFailed", .message = message};
	if (pod->notified)
		return;
	pod->notified = true;
	snprintf(name, sizeof name, "lastword.%.64s.failed-pod", pod->facts->uid);
	snprintf(message, sizeof message,
	         "Agent container %.63s failed for good while other containers run on, so the pod "
	         "is failed (activeDeadlineSeconds: %d): its rule has onSilentExit: fail-pod.",
	         pod->facts->container, DEADLINE);
	buffer_init(&body, BODY_MAX);
	event_write(pod->facts, EVENT_POD, name, &text, remedy->loop->wall, &body);
	event_post(remedy->loop, pod->facts->namespace, &body, NULL, NULL);
}

/* ---- PATCH ---- */

static void patched(void *context, struct kube_response *response, const struct error *error)
{
	struct remedy *remedy = context;
	const struct termination *facts = remedy->current->facts;
	remedy->request = NULL;
	if (error == NULL) {
		observer_metrics_count(remedy->metrics, COUNTER_FAILED_PODS);
		log_message(LOG_INFO, "a silent pod is failed", "namespace", facts->namespace,
		            "pod", facts->pod, "container", facts->container, NULL);
		finish(remedy);
	} else if (response->status == 404) {
		finish(remedy);
	} else {
		failed(remedy, error);
	}
}

static void patch(struct remedy *remedy, const struct pod *pod)
{
	struct json_writer writer;
	struct buffer body;
	buffer_init(&body, BODY_MAX);
	json_writer_init(&writer, &body);
	json_write_object_begin(&writer);
	json_write_key(&writer, "metadata");
	json_write_object_begin(&writer);
	json_write_member(&writer, "uid", pod->uid);
	json_write_member(&writer, "resourceVersion", pod->resource_version);
	json_write_object_end(&writer);
	json_write_key(&writer, "spec");
	json_write_object_begin(&writer);
	json_write_member_integer(&writer, "activeDeadlineSeconds", DEADLINE);
	json_write_object_end(&writer);
	json_write_object_end(&writer);
	size_t length = body.length;
	const struct request request = {
	        .kube = {.method = "PATCH",
	                 .path = request_path("/api/v1/namespaces/%s/pods/%s", pod->namespace,
	                                      pod->name),
	                 .content_type = KUBE_MERGE_PATCH,
	                 .body = buffer_steal(&body),
	                 .body_length = length},
	        .finish = patched,
	        .context = remedy,
	};
	remedy->request = event_loop_add_request(remedy->loop, &request);
	if (remedy->request == NULL)
		try_later(remedy);
}

/* ---- READ ---- */

/* It is, or may be, still wanted of the observer to fail this pod. */
static bool is_wanted(const struct remedy_pod *wanted, const struct pod *pod)
{
	int64_t deadline;
	const json *spec = json_get(pod->object, "spec");
	bool lowered = json_integer(json_get(spec, "activeDeadlineSeconds"), &deadline) &&
	               deadline <= DEADLINE;
	return strcmp(pod->uid, wanted->facts->uid) == 0 && !pod->terminal &&
	       pod->deleted_at == 0 && pod->fail_when_silent && !lowered;
}

static bool has_ended(const struct pod *pod, const struct pod_agent *agent)
{
	int64_t code;
	const json *ended = json_find(agent->status, "state", "terminated", NULL);
	return ended != NULL && json_integer(json_get(ended, "exitCode"), &code) &&
	       code >= INT32_MIN && code <= INT32_MAX && pod_run_is_final(pod, agent, (int)code);
}

static bool all_agents_have_ended(const struct pod *pod)
{
	for (size_t i = 0; i < pod->agent_count; i++)
		if (!has_ended(pod, &pod->agents[i]))
			return false;
	return pod->agent_count > 0;
}

static void received(void *context, const struct kube_response *response, const struct error *error,
                     struct arena *arena, const json *object)
{
	struct remedy *remedy = context;
	struct pod pod;
	bool exists = object != NULL && pod_read(arena, object, &pod, NULL);
	if (error != NULL && response->status != 404) {
		failed(remedy, error);
	} else if (!exists || !is_wanted(remedy->current, &pod)) {
		finish(remedy);
	} else if (!all_agents_have_ended(&pod)) {
		try_later(remedy);
	} else {
		notify(remedy, remedy->current);
		patch(remedy, &pod);
	}
}

static void step(void *context)
{
	struct remedy *remedy = context;
	struct remedy_pod *next = NULL;
	for (struct remedy_pod *pod = remedy->first; pod != NULL; pod = pod->next)
		if (pod->due <= remedy->loop->now && (next == NULL || pod->due < next->due))
			next = pod;
	if (next != NULL && remedy->current == NULL) {
		remedy->current = next;
		if (!pod_reader_start(&remedy->reader, next->facts->namespace, next->facts->pod,
		                      received, remedy))
			try_later(remedy);
	}
	set_timer(remedy);
}
