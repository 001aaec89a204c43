#include "observer/record/silence_recorder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/duration.h"
#include "lib/base/log.h"
#include "observer/record/record_writer.h"

#define RETRY_REFUSED (30 * SECOND)
#define STATUS_MAX    ((size_t)16 * 1024)

struct silence_update {
	struct silence_update *previous;
	struct silence_update *next;
	struct silence_recorder *recorder;
	struct termination *termination; /* without message, context and patterns */
	struct silence wanted;
	char name[AGENT_EXIT_NAME_SIZE];
	/* of the record, as it was read last */
	char version[64];
	char summary[256];
	int64_t exit_code;
	char fingerprint[20];
	/* its state */
	void (*stage)(struct silence_update *update);
	struct notification notification;
	unsigned attempts;  /* of the stage */
	int64_t refused_at; /* the first refusal, or 404; 0: none */
	bool has_condition; /* the record, as it was read last */
	bool ends;          /* what is being written is the end of the silence */
	bool unsure;        /* an attempt to write had no response */
	struct request *request;
	struct timer timer;
};

static void look(struct silence_update *update);
static void verify(struct silence_update *update);
static void read_record(struct silence_update *update);
static void write_condition(struct silence_update *update);

static void stop_reading(struct silence_update *update)
{
	struct silence_recorder *recorder = update->recorder;
	if (recorder->reading != update)
		return;
	pod_reader_cancel(&recorder->reader);
	recorder->reading = NULL;
}

static void update_free(struct silence_update *update)
{
	struct silence_recorder *recorder = update->recorder;
	event_loop_cancel_request(recorder->loop, update->request);
	event_loop_clear_timer(recorder->loop, &update->timer);
	notification_cancel(&update->notification);
	stop_reading(update);
	if (update->previous != NULL)
		update->previous->next = update->next;
	else
		recorder->first = update->next;
	if (update->next != NULL)
		update->next->previous = update->previous;
	recorder->count--;
	free(update->termination);
	free(update);
}

static void fire(void *context)
{
	struct silence_update *update = context;
	update->stage(update);
}

static void enter(struct silence_update *update, void (*stage)(struct silence_update *update),
                  int64_t delay)
{
	struct event_loop *loop = update->recorder->loop;
	if (stage != update->stage)
		update->attempts = 0;
	update->stage = stage;
	event_loop_set_timer(loop, &update->timer, loop->now + delay);
}

/* Enters the stage again, later; gives up what is refused, or has no record, for too long. */
static void retry(struct silence_update *update, const struct kube_response *response,
                  const struct error *error)
{
	struct event_loop *loop = update->recorder->loop;
	int64_t delay =
	        kube_retry_delay("GET", response, update->attempts, event_loop_random(loop));
	if (delay >= 0) {
		enter(update, update->stage, delay);
		return;
	}
	if (update->refused_at == 0)
		update->refused_at = loop->now;
	if (loop->now - update->refused_at >= SILENCE_RECORDER_GIVE_UP) {
		log_message(LOG_WARNING, "the condition Silent of a record is not written",
		            "record", update->name, "error", error->message, NULL);
		update_free(update);
		return;
	}
	/* A record that does not exist may be on its way. */
	int64_t most =
	        response->status == 404 ? 2 * SECOND << (update->attempts & 3) : RETRY_REFUSED;
	enter(update, update->stage,
	      most / 2 + (int64_t)(event_loop_random(loop) % (uint64_t)(most / 2)));
}

static void send_request(struct silence_update *update, const char *method, const char *subresource,
                         struct buffer *body, request_finish *finish)
{
	size_t length = body == NULL ? 0 : body->length;
	const struct request request = {
	        .kube = {.method = method,
	                 .content_type = KUBE_MERGE_PATCH,
	                 .path = record_path(update->termination->namespace, update->name,
	                                     subresource),
	                 .body = body == NULL ? NULL : buffer_steal(body),
	                 .body_length = length},
	        .finish = finish,
	        .context = update,
	};
	update->attempts++;
	update->request = event_loop_add_request(update->recorder->loop, &request);
	if (update->request == NULL)
		enter(update, update->stage, SECOND);
}

/* ---- Reading pods: LOOK and VERIFY ---- */

/* The reader is free: another one that waits for it goes on. */
static void read_next(struct silence_recorder *recorder)
{
	for (struct silence_update *u = recorder->first; u != NULL; u = u->next)
		if ((u->stage == verify || u->stage == look) && u->timer.index == 0) {
			enter(u, u->stage, 0);
			return;
		}
}

static void read_pod(struct silence_update *update, pod_reader_done *done)
{
	struct silence_recorder *recorder = update->recorder;
	const struct termination *termination = update->termination;
	if (pod_reader_is_busy(&recorder->reader))
		return; /* read_next() */
	update->attempts++;
	if (pod_reader_start(&recorder->reader, termination->namespace, termination->pod, done,
	                     update))
		recorder->reading = update;
	else
		enter(update, update->stage, SECOND);
}

/* The silence that the record has is over, as the pod says; object NULL: there is no such pod. */
static bool is_over(struct silence_update *update, struct arena *arena, const json *object)
{
	struct silence *silence = &update->wanted;
	int64_t wall = update->recorder->loop->wall;
	struct pod pod;
	if (object != NULL && !pod_read(arena, object, &pod, NULL))
		return false;
	if (object != NULL && strcmp(pod.uid, update->termination->uid) == 0)
		return silence_read_end(&pod, update->termination->container, wall, silence);
	silence->end = SILENCE_POD_GONE;
	silence->ended_at = wall;
	silence->end_unknown = true;
	return true;
}

static void looked(void *context, const struct kube_response *response, const struct error *error,
                   struct arena *arena, const json *object)
{
	struct silence_update *update = context;
	struct silence_recorder *recorder = update->recorder;
	bool absent = error != NULL && response->status == 404;
	recorder->reading = NULL;
	if (error != NULL && !absent)
		retry(update, response, error);
	else if ((absent || object != NULL) && is_over(update, arena, object))
		enter(update, read_record, 0);
	else
		enter(update, look, SILENCE_RECORDER_LOOK_AGAIN);
	read_next(recorder);
}

static void look(struct silence_update *update)
{
	read_pod(update, looked);
}

/* ---- NOTIFY ---- */

static void notified(void *context)
{
	enter(context, write_condition, 0);
}

static void notify(struct silence_update *update)
{
	const struct notification what = {
	        .notifier = &update->recorder->notifier,
	        .termination = update->termination,
	        .reason = EVENT_REASON_SILENT,
	        .summary = update->summary,
	        .exit_code = update->exit_code,
	        .record = update->name,
	        .fingerprint = update->fingerprint,
	        .finished = notified,
	        .context = update,
	};
	notification_start(&update->notification, &what);
}

/* ---- VERIFY ---- */

/* The pod object says so, now. */
static bool is_silent(const struct silence_update *update, struct arena *arena, const json *object)
{
	const struct termination *termination = update->termination;
	int64_t wall = update->recorder->loop->wall;
	struct pod pod;
	if (!pod_read(arena, object, &pod, NULL) || strcmp(pod.uid, termination->uid) != 0)
		return false;
	for (size_t i = 0; i < pod.agent_count; i++) {
		struct termination found[2];
		struct silence silence;
		const struct pod_agent *agent = &pod.agents[i];
		size_t count = strcmp(agent->name, termination->container) == 0
		                       ? termination_read(arena, &pod, agent, found)
		                       : 0;
		for (size_t j = 0; j < count; j++)
			if (found[j].restart_count == update->wanted.restart_count &&
			    silence_read(&pod, agent, &found[j], false,
			                 update->recorder->silent_after, wall, &silence) &&
			    silence.end == SILENCE_LASTS && silence.confirmed_at != 0 &&
			    silence.confirmed_at <= wall)
				return true;
	}
	return false;
}

static void verified(void *context, const struct kube_response *response, const struct error *error,
                     struct arena *arena, const json *object)
{
	struct silence_update *update = context;
	struct silence_recorder *recorder = update->recorder;
	recorder->reading = NULL;
	if (error != NULL && response->status != 404)
		retry(update, response, error);
	else if (object != NULL && is_silent(update, arena, object))
		enter(update, notify, 0);
	else if (update->wanted.end != SILENCE_LASTS)
		enter(update, read_record, 0); /* it was over meanwhile */
	else
		update_free(update);
	read_next(recorder);
}

static void verify(struct silence_update *update)
{
	read_pod(update, verified);
}

/* ---- READ ---- */

/* The condition that was wanted is written. */
static void count(struct silence_update *update)
{
	const struct silence *silence = &update->wanted;
	const struct termination *termination = update->termination;
	struct observer_metrics *metrics = update->recorder->metrics;
	if (!update->has_condition)
		observer_metrics_count_silence(metrics, termination->namespace, termination->agent);
	if (update->ends && !silence->end_unknown)
		observer_metrics_observe_silence(metrics, termination->namespace,
		                                 termination->agent,
		                                 silence->ended_at - silence->failed_at);
}

static void confirm(const struct silence_update *update)
{
	const struct silence_recorder *recorder = update->recorder;
	if (recorder->confirmed != NULL && update->wanted.end == SILENCE_LASTS)
		recorder->confirmed(recorder->confirmed_context, update->termination);
}

static void copy_text(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text == NULL ? "" : text);
}

static void take_record(struct silence_update *update, const struct agent_exit *exit)
{
	const struct agent_exit_condition *condition =
	        agent_exit_find_condition(exit, AGENT_EXIT_SILENT);
	bool over = condition != NULL && strcmp(condition->status, "True") != 0;
	bool wants_end = update->wanted.end != SILENCE_LASTS;
	/* Whether it was silent follows from the pod, unless that vanished unseen. */
	bool unconfirmed = condition == NULL &&
	                   (update->wanted.confirmed_at == 0 || update->wanted.end_unknown);
	if (over || unconfirmed || (condition != NULL && !wants_end)) {
		/* The condition was written though its response never came. */
		if (update->unsure && over == update->ends)
			count(update);
		if (condition != NULL && !over)
			confirm(update);
		update_free(update);
		return;
	}
	copy_text(update->version, sizeof update->version, exit->resource_version);
	copy_text(update->summary, sizeof update->summary, exit->summary);
	copy_text(update->fingerprint, sizeof update->fingerprint, exit->fingerprint);
	update->exit_code = exit->exit_code;
	update->has_condition = condition != NULL;
	enter(update, wants_end ? write_condition : verify, 0);
}

static void record_received(void *context, struct kube_response *response,
                            const struct error *error)
{
	struct silence_update *update = context;
	struct agent_exit exit;
	json *object;
	update->request = NULL;
	if (error != NULL) {
		retry(update, response, error);
		return;
	}
	update->refused_at = 0;
	struct arena *_cleanup_arena_ arena = arena_new(0);
	if (arena != NULL &&
	    json_parse(arena, buffer_text(&response->body), response->body.length, 0, &object,
	               NULL) != JSON_INVALID &&
	    agent_exit_read(object, &exit, NULL))
		take_record(update, &exit);
	else
		enter(update, read_record, RETRY_REFUSED);
}

static void read_record(struct silence_update *update)
{
	send_request(update, NULL, "", NULL, record_received);
}

/* ---- WRITE ---- */

static void condition_written(void *context, struct kube_response *response,
                              const struct error *error)
{
	struct silence_update *update = context;
	update->request = NULL;
	if (error == NULL) {
		record_listener_offer(update->recorder->listener, &response->body);
		count(update);
		update->unsure = false;
		if (!update->ends)
			confirm(update);
		if (update->ends == (update->wanted.end != SILENCE_LASTS))
			update_free(update);
		else
			enter(update, read_record, 0);
	} else if (response->status == 409) {
		enter(update, read_record, 0);
	} else {
		update->unsure = update->unsure || response->status == 0 || response->status >= 500;
		/* Whether it was written shows when the record is read. */
		update->stage = read_record;
		retry(update, response, error);
	}
}

/* The condition as the pod says; message is its storage. */
static struct agent_exit_condition make_condition(const struct silence_update *update,
                                                  struct buffer *message)
{
	static const char *const reasons[] = {
	        [SILENCE_LASTS] = "OtherContainersRun",
	        [SILENCE_POD_ENDED] = "PodEnded",
	        [SILENCE_POD_GONE] = "PodGone",
	        [SILENCE_AGENT_RESTARTED] = "AgentRestarted",
	};
	const struct silence *silence = &update->wanted;
	if (update->ends) {
		buffer_printf(message, "the pod was silent for %s",
		              silence->end_unknown ? "at most " : "");
		duration_print(message, silence->ended_at - silence->failed_at);
	} else {
		buffer_append_text(message, "another container of the pod still ran ");
		duration_print(message, silence->confirmed_at - silence->failed_at);
		buffer_append_text(message, " after this one had failed");
	}
	return (struct agent_exit_condition){
	        .type = AGENT_EXIT_SILENT,
	        .status = update->ends ? "False" : "True",
	        .last_transition_time = update->ends ? silence->ended_at : silence->confirmed_at,
	        .reason = reasons[update->ends ? silence->end : SILENCE_LASTS],
	        .message = buffer_text(message),
	};
}

static void write_condition(struct silence_update *update)
{
	char storage[128];
	struct buffer message;
	struct buffer body;
	struct agent_exit exit;
	agent_exit_init(&exit);
	buffer_init_fixed(&message, storage, sizeof storage);
	update->ends = update->wanted.end != SILENCE_LASTS;
	exit.conditions[exit.condition_count++] = make_condition(update, &message);
	exit.resource_version = update->version[0] == '\0' ? NULL : update->version;
	buffer_init(&body, STATUS_MAX);
	agent_exit_write_status(&exit, &body);
	send_request(update, "PATCH", "/status", &body, condition_written);
}

/* ---- The recorder ---- */

void silence_recorder_init(struct silence_recorder *recorder, struct event_loop *loop,
                           struct observer_metrics *metrics, int64_t failover_delay,
                           int64_t silent_after)
{
	*recorder = (struct silence_recorder){
	        .loop = loop,
	        .metrics = metrics,
	        .failover_delay = failover_delay,
	        .silent_after = silent_after,
	        .reader = {.loop = loop},
	        .notifier = {.loop = loop, .metrics = metrics},
	};
}

void silence_recorder_free(struct silence_recorder *recorder)
{
	struct silence_update *next;
	for (struct silence_update *update = recorder->first; update != NULL; update = next) {
		next = update->next;
		update_free(update);
	}
}

static bool holds(const struct silence_update *update)
{
	return update->stage == read_record && update->request == NULL && update->attempts == 0;
}

void silence_recorder_set_leader(struct silence_recorder *recorder, bool leader)
{
	bool began = leader && !recorder->leader;
	struct silence_update *next;
	recorder->leader = leader;
	for (struct silence_update *u = recorder->first; u != NULL; u = next) {
		next = u->next;
		if (began && holds(u))
			enter(u, read_record, 0);
		else if (!leader && u->stage == look)
			update_free(u); /* the next leader looks */
	}
	read_next(recorder);
}

static struct silence_update *add(struct silence_recorder *recorder,
                                  const struct termination *termination, const char *name)
{
	struct termination slim = *termination;
	struct silence_update *update = calloc(1, sizeof *update);
	slim.message = NULL;
	slim.patterns = slim.rules = (struct packed_texts){.bytes = NULL};
	slim.context = slim.running = (struct packed_texts){.bytes = NULL};
	if (update == NULL || (update->termination = termination_copy(&slim, 0)) == NULL) {
		free(update);
		return NULL;
	}
	update->recorder = recorder;
	update->timer = (struct timer){.fire = fire, .context = update};
	snprintf(update->name, sizeof update->name, "%s", name);
	update->next = recorder->first;
	if (recorder->first != NULL)
		recorder->first->previous = update;
	recorder->first = update;
	recorder->count++;
	enter(update, read_record, recorder->leader ? 0 : recorder->failover_delay);
	return update;
}

static struct silence_update *find(const struct silence_recorder *recorder, const char *name)
{
	struct silence_update *update = recorder->first;
	while (update != NULL && strcmp(update->name, name) != 0)
		update = update->next;
	return update;
}

bool silence_recorder_set(struct silence_recorder *recorder, const struct termination *termination,
                          const struct silence *silence)
{
	char name[AGENT_EXIT_NAME_SIZE];
	agent_exit_name(termination->pod, termination->uid, termination->container,
	                silence->restart_count, true, name);
	struct silence_update *update = find(recorder, name);
	if (update == NULL)
		update = add(recorder, termination, name);
	if (update == NULL)
		return false;
	update->wanted = *silence;
	if (update->stage == look) { /* from now on its pod is watched */
		stop_reading(update);
		enter(update, read_record, 0);
		read_next(recorder);
	}
	return true;
}

void silence_recorder_check(struct silence_recorder *recorder, const struct agent_exit *exit)
{
	const struct agent_exit_condition *condition =
	        agent_exit_find_condition(exit, AGENT_EXIT_SILENT);
	if (condition == NULL || strcmp(condition->status, "True") != 0 || exit->pod == NULL ||
	    exit->uid == NULL || exit->container == NULL || find(recorder, exit->name) != NULL)
		return;
	const struct termination termination = {
	        .kind = TERMINATION_REPORTED,
	        .namespace = exit->namespace,
	        .pod = exit->pod,
	        .uid = exit->uid,
	        .container = exit->container,
	        .agent = exit->agent,
	        .restart_count = exit->restart_count,
	};
	struct silence_update *update = add(recorder, &termination, exit->name);
	if (update == NULL)
		return;
	update->wanted = (struct silence){
	        .restart_count = exit->restart_count,
	        .failed_at = exit->finished_at == AGENT_EXIT_UNKNOWN
	                             ? condition->last_transition_time
	                             : exit->finished_at,
	        .confirmed_at = condition->last_transition_time,
	};
	enter(update, look, 0);
}
