#include "observer/pod/termination.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/buffer.h"
#include "lib/diagnosis/classify.h"

#define PACKED_MAX ((size_t)64 * 1024)
#define MESSAGE_MAX \
	((size_t)12 * 1024) /* what the kubelet allows all containers of a pod together */

/* ---- What all terminations of a pod have in common ---- */

static struct packed_texts keep(struct arena *arena, struct buffer *packed)
{
	char *bytes = buffer_ok(packed) && packed->length > 0
	                      ? arena_copy(arena, packed->data, packed->length)
	                      : NULL;
	struct packed_texts packed_texts = {.bytes = bytes,
	                                    .length = bytes == NULL ? 0 : packed->length};
	buffer_free(packed);
	return packed_texts;
}

static void pack(struct buffer *packed, const char *text)
{
	buffer_append(packed, text, strlen(text) + 1);
}

/* 12 KiB for all containers of a pod together, whatever their kind (Kubernetes:
 * pkg/kubelet/status/status_manager.go, normalizeStatus). */
static uint16_t message_limit(const struct pod *pod)
{
	static const char *const kinds[] = {"initContainers", "containers", "ephemeralContainers"};
	const json *spec = json_get(pod->object, "spec");
	size_t containers = 0;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		containers += json_size(json_get(spec, kinds[i]));
	return (uint16_t)(containers == 0 ? MESSAGE_MAX : MESSAGE_MAX / containers);
}

static struct termination termination_of(struct arena *arena, const struct pod *pod,
                                         const struct pod_agent *agent, enum termination_kind kind)
{
	struct buffer context;
	struct buffer patterns;
	struct buffer rules;
	buffer_init(&context, PACKED_MAX);
	buffer_init(&patterns, PACKED_MAX);
	buffer_init(&rules, PACKED_MAX);
	for (size_t i = 0; i < pod->context_count; i++) {
		pack(&context, pod->context[i].key);
		pack(&context, pod->context[i].value);
	}
	for (size_t i = 0; i < pod->pattern_count; i++)
		pack(&patterns, pod->patterns[i]);
	for (size_t i = 0; i < pod->rule_count; i++)
		pack(&rules, pod->rules[i]);
	return (struct termination){
	        .kind = kind,
	        .namespace = pod->namespace,
	        .pod = pod->name,
	        .uid = pod->uid,
	        .node = pod->node,
	        .container = agent->name,
	        .owner_api_version = pod->owner.api_version,
	        .owner_kind = pod->owner.kind,
	        .owner_name = pod->owner.name,
	        .owner_uid = pod->owner.uid,
	        .agent = pod_agent_label(pod),
	        .pod_reason = pod->reason,
	        .disruption = pod->disruption,
	        .context = keep(arena, &context),
	        .patterns = keep(arena, &patterns),
	        .rules = keep(arena, &rules),
	        .message_limit = message_limit(pod),
	        .deletion_requested = pod->deleted_at != 0,
	        .watched = pod->watchdog && agent->watched,
	};
}

/* An int32 in the API. */
static int64_t restart_count(const struct pod_agent *agent)
{
	int64_t count;
	bool valid = json_integer(json_get(agent->status, "restartCount"), &count) && count > 0 &&
	             count <= INT32_MAX;
	return valid ? count : 0;
}

/* ---- Runs ---- */

bool termination_has_exit_code(const struct termination *termination)
{
	return termination->kind == TERMINATION_REPORTED &&
	       !reason_is(termination->reason, "ContainerStatusUnknown");
}

/* Times of the kubelet are whole seconds: a container that ended in the same second counts. time 0,
 * not known: what runs now. */
static struct packed_texts running_at(struct arena *arena, const struct pod *pod,
                                      const struct pod_agent *agent, int64_t time)
{
	struct buffer names;
	buffer_init(&names, PACKED_MAX);
	for (const json *n = pod_first_other(pod, agent->name); n != NULL;
	     n = pod_next_other(n, agent->name)) {
		struct container_run runs[2];
		size_t count = container_runs(n, runs);
		bool ran = false;
		for (size_t i = 0; i < count; i++)
			ran = ran ||
			      (time == 0 ? runs[i].ended_at == INT64_MAX
			                 : runs[i].started_at <= time && runs[i].ended_at >= time);
		if (ran)
			pack(&names, json_get_string_or(n, "name", ""));
	}
	return keep(arena, &names);
}

static struct termination read_run(struct arena *arena, const struct pod *pod,
                                   const struct pod_agent *agent, const json *terminated,
                                   bool previous)
{
	struct termination termination = termination_of(arena, pod, agent, TERMINATION_REPORTED);
	int64_t code = 0;
	int64_t count = restart_count(agent);
	termination.reason = json_get_string(terminated, "reason");
	/* While the container waits, no new one was created: the count is still that of the one in
	 * lastState (recorded: same containerID, same count). Only for a container that it lost
	 * does the kubelet increase the count at once (kubelet_pods.go,
	 * convertToAPIContainerStatuses). */
	bool waits = json_is_object(json_find(agent->status, "state", "waiting", NULL)) &&
	             termination_has_exit_code(&termination);
	termination.restart_count = previous && !waits && count > 0 ? count - 1 : count;
	termination.previous = previous;
	json_integer(json_get(terminated, "exitCode"), &code);
	/* Exit codes have 32 bits on Windows; anything else is a failure of an unknown kind. */
	termination.exit_code = code >= INT32_MIN && code <= INT32_MAX ? (int)code : 255;
	termination.message = json_get_string(terminated, "message");
	termination.started_at = pod_time(terminated, "startedAt");
	termination.finished_at = pod_time(terminated, "finishedAt");
	termination.running = running_at(arena, pod, agent, termination.finished_at);
	/* The kubelet's times are truncated to whole seconds. */
	termination.deletion_requested =
	        pod->deleted_at != 0 && (termination.finished_at == 0 ||
	                                 termination.finished_at >= pod->deleted_at - SECOND);
	/* The container ended by itself before the pod was disrupted. */
	bool before = pod->disrupted_at != 0 && termination.finished_at != 0 &&
	              termination.finished_at < pod->disrupted_at;
	if (previous || before) {
		termination.pod_reason = NULL;
		termination.disruption = NULL;
	}
	if (!previous) {
		termination.final = pod->terminal || pod->deleted_at != 0 ||
		                    pod->disruption != NULL ||
		                    pod_run_is_final(pod, agent, termination.exit_code);
	}
	return termination;
}

enum cause termination_cause(const struct termination *termination)
{
	const struct observation observation = {
	        .ended = termination_has_exit_code(termination) ? ENDED_EXITED : ENDED_UNKNOWN,
	        .exit_code = termination->exit_code,
	        .container_reason = termination->reason,
	        .pod_reason = termination->pod_reason,
	        .disruption = termination->disruption,
	        .termination_requested = termination->deletion_requested,
	};
	return classify(&observation, NULL);
}

bool termination_is_success(const struct termination *termination)
{
	return termination_cause(termination) == CAUSE_COMPLETED &&
	       !reason_is(termination->reason, "OOMKilled");
}

size_t termination_read(struct arena *arena, const struct pod *pod, const struct pod_agent *agent,
                        struct termination ret_ends[2])
{
	size_t count = 0;
	const json *last = json_find(agent->status, "lastState", "terminated", NULL);
	const json *present = json_find(agent->status, "state", "terminated", NULL);
	if (json_is_object(last))
		ret_ends[count++] = read_run(arena, pod, agent, last, true);
	if (json_is_object(present))
		ret_ends[count++] = read_run(arena, pod, agent, present, false);
	return count;
}

bool pod_agent_is_running(const struct pod_agent *agent, int64_t *ret_run)
{
	if (!json_is_object(json_find(agent->status, "state", "running", NULL)))
		return false;
	*ret_run = restart_count(agent);
	return true;
}

void termination_unobserved(struct arena *arena, const struct pod *pod,
                            const struct pod_agent *agent, struct termination *ret_end)
{
	struct termination termination = termination_of(arena, pod, agent, TERMINATION_UNOBSERVED);
	termination.restart_count = restart_count(agent);
	termination.started_at =
	        pod_time(json_find(agent->status, "state", "running", NULL), "startedAt");
	termination.final = true;
	*ret_end = termination;
}

/* ---- Never started ---- */

/* The container waits because something went wrong. */
static bool is_failing(const char *reason)
{
	const struct observation observation = {.container_reason = reason};
	enum cause cause = classify(&observation, NULL);
	return reason != NULL && strcmp(reason, "PodInitializing") != 0 &&
	       strcmp(reason, "ContainerCreating") != 0 &&
	       (cause == CAUSE_NEVER_STARTED || cause == CAUSE_START_ERROR ||
	        strcmp(reason, "CrashLoopBackOff") == 0);
}

static bool is_sidecar(const struct pod *pod, const char *name)
{
	const json *containers = json_find(pod->object, "spec", "initContainers", NULL);
	for (const json *n = json_first(containers); n != NULL; n = json_next(n))
		if (json_string_is(json_get(n, "name"), name))
			return json_string_is(json_get(n, "restartPolicy"), "Always");
	return false;
}

/* Describes an init container that failed; NULL: none did. *ret_working: one is running.
 * *ret_final: it will not be restarted, and the pod will be Failed in a moment. */
static const char *failing_init(struct arena *arena, const struct pod *pod, bool *ret_working,
                                bool *ret_final)
{
	const json *statuses = json_find(pod->object, "status", "initContainerStatuses", NULL);
	*ret_working = *ret_final = false;
	for (const json *n = json_first(statuses); n != NULL; n = json_next(n)) {
		int64_t code = 0;
		const char *name = json_get_string_or(n, "name", "");
		const json *waiting = json_find(n, "state", "waiting", NULL);
		const json *terminated = json_find(n, "state", "terminated", NULL);
		const char *reason = json_get_string(waiting, "reason");
		if (is_failing(reason))
			return arena_printf(arena, "init container %s: %s%s%.500s", name, reason,
			                    json_get_string(waiting, "message") == NULL ? "" : ": ",
			                    json_get_string_or(waiting, "message", ""));
		if (json_integer(json_get(terminated, "exitCode"), &code) && code != 0 &&
		    !is_sidecar(pod, name)) {
			*ret_final = strcmp(pod->restart_policy, "Never") == 0;
			return arena_printf(arena, "init container %s: %s, exit %d", name,
			                    json_get_string_or(terminated, "reason", "Error"),
			                    (int)code);
		}
		if (json_is_object(json_find(n, "state", "running", NULL)) &&
		    !is_sidecar(pod, name))
			*ret_working = true;
	}
	return NULL;
}

static bool ran(const struct pod_agent *agent)
{
	const json *state = json_get(agent->status, "state");
	return restart_count(agent) > 0 || json_is_object(json_get(state, "running")) ||
	       json_is_object(json_get(state, "terminated")) ||
	       json_is_object(json_find(agent->status, "lastState", "terminated", NULL));
}

bool termination_never_started(struct arena *arena, const struct pod *pod,
                               const struct pod_agent *agent,
                               const struct start_timeouts *start_timeouts,
                               struct termination *ret_end, int64_t *ret_due)
{
	bool init_works;
	bool init_final;
	if (ran(agent) || strcmp(pod->phase, "Succeeded") == 0)
		return false;
	const json *waiting = json_find(agent->status, "state", "waiting", NULL);
	const char *reason = json_get_string(waiting, "reason");
	const char *init = failing_init(arena, pod, &init_works, &init_final);
	bool failing = init != NULL || is_failing(reason);
	if (!pod->terminal && (pod->started_at == 0 || (!failing && init_works)))
		return false;

	struct termination termination =
	        termination_of(arena, pod, agent, TERMINATION_NEVER_STARTED);
	termination.restart_count = restart_count(agent);
	termination.reason = reason;
	termination.message = init != NULL ? init : json_get_string(waiting, "message");
	if (termination.message == NULL && pod->terminal)
		termination.message = json_get_string(json_get(pod->object, "status"), "message");
	termination.final = pod->terminal || init_final;
	termination.failing = failing;
	*ret_due = pod->terminal ? 0
	                         : pod->started_at + (failing ? start_timeouts->failing
	                                                      : start_timeouts->waiting);
	*ret_end = termination;
	return true;
}

/* ---- Copies ---- */

#define TEXT_COUNT 14

/* The addresses of all members that are single texts. */
static void list_texts(struct termination *termination, const char **ret_places[TEXT_COUNT])
{
	const char **places[TEXT_COUNT] = {
	        &termination->namespace,  &termination->pod,        &termination->uid,
	        &termination->node,       &termination->container,  &termination->owner_kind,
	        &termination->owner_name, &termination->owner_uid,  &termination->owner_api_version,
	        &termination->agent,      &termination->reason,     &termination->message,
	        &termination->pod_reason, &termination->disruption,
	};
	memcpy(ret_places, places, sizeof places);
}

/* The length of as many whole pairs as fit into `most` bytes. */
static size_t fitting_length(const struct packed_texts *packed_texts, size_t most)
{
	size_t fits = 0;
	for (size_t at = 0; at < packed_texts->length;) {
		at += strlen(packed_texts->bytes + at) + 1;
		if (at < packed_texts->length)
			at += strlen(packed_texts->bytes + at) + 1;
		if (at > most)
			break;
		fits = at;
	}
	return fits;
}

static const char *move(char **to, const char *bytes, size_t length)
{
	const char *start = *to;
	if (bytes == NULL)
		return NULL;
	memcpy(*to, bytes, length);
	*to += length;
	return start;
}

struct termination *termination_copy(const struct termination *termination, size_t context_max)
{
	struct termination view = *termination;
	const char **places[TEXT_COUNT];
	size_t lengths[TEXT_COUNT];
	size_t size = sizeof *termination;
	list_texts(&view, places);
	for (size_t i = 0; i < TEXT_COUNT; i++) {
		lengths[i] = *places[i] == NULL ? 0 : strnlen(*places[i], MESSAGE_MAX);
		size += lengths[i] + 1;
	}
	view.context.length = fitting_length(&view.context, context_max);
	size += view.context.length + view.patterns.length + view.rules.length +
	        view.running.length;

	struct termination *copy = calloc(1, size);
	if (copy == NULL)
		return NULL;
	char *to = (char *)(copy + 1);
	*copy = view;
	const char **targets[TEXT_COUNT];
	list_texts(copy, targets);
	for (size_t i = 0; i < TEXT_COUNT; i++) {
		*targets[i] = move(&to, *places[i], lengths[i]);
		to++; /* the NUL is there already */
	}
	copy->context.bytes = move(&to, view.context.bytes, view.context.length);
	copy->patterns.bytes = move(&to, view.patterns.bytes, view.patterns.length);
	copy->rules.bytes = move(&to, view.rules.bytes, view.rules.length);
	copy->running.bytes = move(&to, view.running.bytes, view.running.length);
	return copy;
}
