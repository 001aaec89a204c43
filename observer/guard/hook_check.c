#include "observer/guard/hook_check.h"

#include <stdio.h>
#include <string.h>

#include "lib/document/json.h"
#include "lib/kube/names.h"
#include "observer/pod/pod.h"

#define TREE_MAX     ((size_t)4 * 1024 * 1024)
#define RESPONSE_MAX ((size_t)256 * 1024)
#define AGAIN        (30 * SECOND)

static void check_next(void *context);

void hook_check_init(struct hook_check *check, struct event_loop *loop,
                     void (*hangs)(void *context, const struct breaker_subject *pod), void *context)
{
	*check = (struct hook_check){.loop = loop,
	                             .timer = {.fire = check_next, .context = check},
	                             .hangs = hangs,
	                             .context = context};
}

void hook_check_free(struct hook_check *check)
{
	if (check->loop == NULL)
		return;
	event_loop_cancel_request(check->loop, check->request);
	event_loop_clear_timer(check->loop, &check->timer);
	*check = (struct hook_check){.loop = NULL};
}

/* ---- Candidates ---- */

static struct hook_candidate *find(struct hook_check *check, const char *uid)
{
	for (size_t i = 0; i < check->count; i++)
		if (strcmp(check->candidates[i].pod.uid, uid) == 0)
			return &check->candidates[i];
	return NULL;
}

static void take_out(struct hook_check *check, struct hook_candidate *candidate)
{
	*candidate = check->candidates[--check->count];
}

static void set_timer(struct hook_check *check)
{
	int64_t due = INT64_MAX;
	for (size_t i = 0; i < check->count; i++)
		due = clock_earlier(due, check->candidates[i].due);
	if (due == INT64_MAX || check->request != NULL || !check->leader)
		event_loop_clear_timer(check->loop, &check->timer);
	else
		event_loop_set_timer(check->loop, &check->timer, due);
}

void hook_check_take(struct hook_check *check, const struct pod *pod, bool may_hang)
{
	struct hook_candidate *candidate = find(check, pod->uid);
	if (candidate != NULL && !may_hang)
		take_out(check, candidate);
	if (candidate == NULL && may_hang && check->count < HOOK_CANDIDATES_MAX) {
		candidate = &check->candidates[check->count++];
		*candidate = (struct hook_candidate){.due = check->loop->now + HOOK_CHECK_WAIT};
		subject_of_pod(pod, &candidate->pod);
	}
	set_timer(check);
}

void hook_check_set_leader(struct hook_check *check, bool leader)
{
	check->leader = leader;
	if (!leader) {
		event_loop_cancel_request(check->loop, check->request);
		check->request = NULL;
	}
	set_timer(check);
}

/* ---- Events ---- */

static int64_t time_of(const json *event)
{
	static const char *const keys[] = {"lastTimestamp", "eventTime", "firstTimestamp"};
	int64_t time = 0;
	for (size_t i = 0; i < sizeof keys / sizeof keys[0] && time == 0; i++)
		time = pod_time(event, keys[i]);
	return time;
}

/* When the watchdog's container was started last; 0: it was not, as far as the Events say. */
static int64_t started_at(const json *list)
{
	static const char path[] = "spec.initContainers{" NAME_WATCHDOG "}";
	int64_t started_at = 0;
	for (const json *n = json_first(json_get(list, "items")); n != NULL; n = json_next(n)) {
		int64_t time = time_of(n);
		if (json_string_is(json_get(n, "reason"), "Started") &&
		    json_string_is(json_find(n, "involvedObject", "fieldPath", NULL), path) &&
		    time > started_at)
			started_at = time;
	}
	return started_at;
}

static bool hook_hangs(struct hook_check *check, const struct kube_response *response)
{
	json *list;
	struct arena *_cleanup_arena_ arena = arena_new(TREE_MAX);
	if (arena == NULL || json_parse(arena, buffer_text(&response->body), response->body.length,
	                                0, &list, NULL) == JSON_INVALID)
		return false;
	int64_t started = started_at(list);
	return started != 0 && check->loop->wall - started >= HOOK_HANGS;
}

static void listed(void *context, struct kube_response *response, const struct error *error)
{
	struct hook_check *check = context;
	struct hook_candidate *candidate = find(check, check->checked);
	check->request = NULL;
	bool hangs = candidate != NULL && error == NULL && hook_hangs(check, response);
	if (hangs) {
		struct breaker_subject pod = candidate->pod;
		take_out(check, candidate);
		check->hangs(check->context, &pod);
	} else if (candidate != NULL && ++candidate->checks >= HOOK_CHECKS_MAX) {
		take_out(check, candidate);
	} else if (candidate != NULL) {
		candidate->due = check->loop->now + AGAIN;
	}
	set_timer(check);
}

static void check_next(void *context)
{
	struct hook_check *check = context;
	struct hook_candidate *next = NULL;
	for (size_t i = 0; i < check->count; i++)
		if (check->candidates[i].due <= check->loop->now &&
		    (next == NULL || check->candidates[i].due < next->due))
			next = &check->candidates[i];
	if (next == NULL || check->request != NULL || !check->leader) {
		set_timer(check);
		return;
	}
	const struct request request = {
	        .kube = {.path = request_path("/api/v1/namespaces/%s/events?fieldSelector="
	                                      "involvedObject.uid%%3D%s%%2Creason%%3DStarted"
	                                      "&limit=50",
	                                      next->pod.namespace, next->pod.uid),
	                 .response_max = RESPONSE_MAX},
	        .finish = listed,
	        .context = check,
	};
	snprintf(check->checked, sizeof check->checked, "%s", next->pod.uid);
	check->request = event_loop_add_request(check->loop, &request);
	if (check->request == NULL)
		next->due = check->loop->now + AGAIN;
	set_timer(check);
}
