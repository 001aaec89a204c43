#include "observer/pod/termination.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/buffer.h"
#include "lib/diagnosis/classify.h"

#define PACKED_MAX  ((size_t)64 * 1024)
#define MESSAGE_MAX ((size_t)12 * 1024) /* what the kubelet lets all containers have */

/* ---- What all ends of a pod have in common ---- */

static struct texts keep(struct arena *arena, struct buffer *packed)
{
	char *bytes = buffer_ok(packed) && packed->length > 0
	                      ? arena_copy(arena, packed->data, packed->length)
	                      : NULL;
	struct texts texts = {.bytes = bytes, .length = bytes == NULL ? 0 : packed->length};
	buffer_free(packed);
	return texts;
}

static void pack(struct buffer *packed, const char *text)
{
	buffer_append(packed, text, strlen(text) + 1);
}

static struct end end_of(struct arena *arena, const struct pod *pod, const struct pod_agent *agent,
                         enum end_kind kind)
{
	struct buffer context;
	struct buffer patterns;
	buffer_init(&context, PACKED_MAX);
	buffer_init(&patterns, PACKED_MAX);
	for (size_t i = 0; i < pod->context_count; i++) {
		pack(&context, pod->context[i].key);
		pack(&context, pod->context[i].value);
	}
	for (size_t i = 0; i < pod->pattern_count; i++)
		pack(&patterns, pod->patterns[i]);
	return (struct end){
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
	        .others_run = pod_other_runs(pod, agent->name),
	        .told_to_terminate = pod->deleted_at != 0,
	        .watched = pod->watchdog && agent->watched,
	};
}

static int64_t restart_count(const struct pod_agent *agent)
{
	int64_t count;
	return json_integer(json_get(agent->status, "restartCount"), &count) && count > 0 ? count
	                                                                                  : 0;
}

/* ---- Runs ---- */

bool end_has_code(const struct end *end)
{
	return end->kind == END_RUN && !reason_is(end->reason, "ContainerStatusUnknown");
}

static struct end read_run(struct arena *arena, const struct pod *pod,
                           const struct pod_agent *agent, const json *terminated, bool previous)
{
	struct end end = end_of(arena, pod, agent, END_RUN);
	int64_t code = 0;
	int64_t count = restart_count(agent);
	end.reason = json_get_string(terminated, "reason");
	/* While it waits no container was made since: the count is still that of the one in
	 * lastState (recorded: same containerID, same count). Only for one that it lost does the
	 * kubelet count on at once (kubelet_pods.go, convertToAPIContainerStatuses). */
	bool waits = json_is_object(json_find(agent->status, "state", "waiting", NULL)) &&
	             end_has_code(&end);
	end.run = previous && !waits && count > 0 ? count - 1 : count;
	end.previous = previous;
	json_integer(json_get(terminated, "exitCode"), &code);
	/* 32 bits, those of Windows; what is no such number is a failure of an unknown kind. */
	end.exit_code = code >= INT32_MIN && code <= INT32_MAX ? (int)code : 255;
	end.message = json_get_string(terminated, "message");
	end.started_at = pod_time(terminated, "startedAt");
	end.finished_at = pod_time(terminated, "finishedAt");
	/* Times of the kubelet are whole seconds, cut. */
	end.told_to_terminate =
	        pod->deleted_at != 0 &&
	        (end.finished_at == 0 || end.finished_at >= pod->deleted_at - SECOND);
	/* It had ended by itself before the pod's own end began. */
	bool before =
	        pod->troubled_at != 0 && end.finished_at != 0 && end.finished_at < pod->troubled_at;
	if (previous || before) {
		end.pod_reason = NULL;
		end.disruption = NULL;
	}
	if (!previous) {
		end.final = pod->terminal || pod->deleted_at != 0 || pod->disruption != NULL ||
		            pod_run_is_final(pod, agent, end.exit_code);
	}
	return end;
}

size_t end_read(struct arena *arena, const struct pod *pod, const struct pod_agent *agent,
                struct end ret_ends[2])
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

bool end_is_running(const struct pod_agent *agent, int64_t *ret_run)
{
	if (!json_is_object(json_find(agent->status, "state", "running", NULL)))
		return false;
	*ret_run = restart_count(agent);
	return true;
}

void end_unseen(struct arena *arena, const struct pod *pod, const struct pod_agent *agent,
                struct end *ret_end)
{
	struct end end = end_of(arena, pod, agent, END_UNSEEN);
	end.run = restart_count(agent);
	end.started_at = pod_time(json_find(agent->status, "state", "running", NULL), "startedAt");
	end.final = true;
	end.others_run = false;
	*ret_end = end;
}

/* ---- Never started ---- */

/* The container waits for something that went wrong. */
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

/* An init container that failed, in words; NULL: none. *ret_working: one is at work. *ret_final: it
 * failed for good, and the pod will be Failed in a moment. */
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

bool end_never_started(struct arena *arena, const struct pod *pod, const struct pod_agent *agent,
                       const struct end_patience *patience, struct end *ret_end, int64_t *ret_due)
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

	struct end end = end_of(arena, pod, agent, END_NEVER_STARTED);
	end.run = restart_count(agent);
	end.reason = reason;
	end.message = init != NULL ? init : json_get_string(waiting, "message");
	if (end.message == NULL && pod->terminal)
		end.message = json_get_string(json_get(pod->object, "status"), "message");
	end.final = pod->terminal || init_final;
	end.failing = failing;
	*ret_due = pod->terminal
	                   ? 0
	                   : pod->started_at + (failing ? patience->failing : patience->waiting);
	*ret_end = end;
	return true;
}

/* ---- Copies ---- */

#define TEXT_COUNT 14

/* The places of all single texts. */
static void list_texts(struct end *end, const char **ret_places[TEXT_COUNT])
{
	const char **places[TEXT_COUNT] = {
	        &end->namespace,         &end->pod,        &end->uid,        &end->node,
	        &end->container,         &end->owner_kind, &end->owner_name, &end->owner_uid,
	        &end->owner_api_version, &end->agent,      &end->reason,     &end->message,
	        &end->pod_reason,        &end->disruption,
	};
	memcpy(ret_places, places, sizeof places);
}

/* As many whole pairs as fit into most bytes. */
static size_t fitting(const struct texts *texts, size_t most)
{
	size_t fits = 0;
	for (size_t at = 0; at < texts->length;) {
		at += strlen(texts->bytes + at) + 1;
		if (at < texts->length)
			at += strlen(texts->bytes + at) + 1;
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

struct end *end_copy(const struct end *end, size_t context_max)
{
	struct end view = *end;
	const char **places[TEXT_COUNT];
	size_t lengths[TEXT_COUNT];
	size_t size = sizeof *end;
	list_texts(&view, places);
	for (size_t i = 0; i < TEXT_COUNT; i++) {
		lengths[i] = *places[i] == NULL ? 0 : strnlen(*places[i], MESSAGE_MAX);
		size += lengths[i] + 1;
	}
	view.context.length = fitting(&view.context, context_max);
	size += view.context.length + view.patterns.length;

	struct end *copy = calloc(1, size);
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
	return copy;
}
