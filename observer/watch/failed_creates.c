#include "observer/watch/failed_creates.h"

#include <stdio.h>
#include <string.h>

#include "observer/guard/refusal.h"
#include "observer/pod/pod.h"

#define END                 \
	{                   \
		.key = NULL \
	}
#define CONTINUE_MAX 8192
#define TIME_MAX     40

/* ---- What is read of an Event ---- */

static const struct json_filter metadata_filter[] = {
        {.key = "namespace", .text_max = 64}, {.key = "resourceVersion"}, END};
static const struct json_filter object_filter[] = {
        {.key = "apiVersion", .text_max = 253},
        {.key = "kind"},
        {.key = "name", .text_max = 253},
        {.key = "uid"},
        END,
};
static const struct json_filter series_filter[] = {
        {.key = "lastObservedTime", .text_max = TIME_MAX}, END};
static const struct json_filter event_filter[] = {
        {.key = "metadata", .members = metadata_filter},
        {.key = "involvedObject", .members = object_filter},
        {.key = "reason"},
        {.key = "message", .text_max = REFUSAL_MESSAGE_MAX},
        {.key = "lastTimestamp", .text_max = TIME_MAX},
        {.key = "eventTime", .text_max = TIME_MAX},
        {.key = "series", .members = series_filter},
        {.key = "code"}, /* of the Status in an ERROR event, as reason */
        END,
};
static const struct json_filter list_metadata[] = {
        {.key = "resourceVersion"}, {.key = "continue", .text_max = CONTINUE_MAX}, END};
static const struct json_filter list_filter[] = {
        {.key = "metadata", .members = list_metadata},
        {.key = "items", .members = event_filter, .each = true},
        END,
};
static const struct json_filter watch_filter[] = {
        {.key = "type"}, {.key = "object", .members = event_filter}, END};

/* ---- Events ---- */

/* When it happened last. */
static int64_t event_time(const json *event)
{
	const int64_t times[] = {pod_time(event, "lastTimestamp"), pod_time(event, "eventTime"),
	                         pod_time(json_get(event, "series"), "lastObservedTime")};
	int64_t latest = 0;
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
		latest = times[i] > latest ? times[i] : latest;
	return latest;
}

static bool is_ours(const struct failed_creates *creates, const char *namespace,
                    const char *message)
{
	struct sidecar_amount amounts[SIDECAR_AMOUNTS_MAX];
	size_t count = 0;
	if (creates->policy != NULL) {
		count = injection_policy_sidecar_amounts(creates->policy, amounts);
		if (!opted_in_namespaces_find(creates->namespaces, namespace).opted_in)
			return false;
	}
	return refusal_is_ours(message, amounts, count);
}

static void take_event(struct failed_creates *creates, const json *event)
{
	const json *object = json_get(event, "involvedObject");
	const struct breaker_refusal refusal = {
	        .namespace = json_get_string(json_get(event, "metadata"), "namespace"),
	        .api_version = json_get_string_or(object, "apiVersion", ""),
	        .kind = json_get_string_or(object, "kind", ""),
	        .name = json_get_string_or(object, "name", ""),
	        .uid = json_get_string_or(object, "uid", ""),
	        .message = json_get_string_or(event, "message", ""),
	        .at = event_time(event),
	};
	if (json_string_is(json_get(event, "reason"), "FailedCreate") &&
	    refusal.namespace != NULL && refusal.at > creates->loop->wall - FAILED_CREATE_AGE_MAX &&
	    is_ours(creates, refusal.namespace, refusal.message))
		breaker_take_refusal(creates->breaker, &refusal);
}

/* ---- The watch ---- */

static void begin(void *context)
{
	(void)context;
}

static void take(void *context, enum watch_event event, struct arena *arena, const json *object)
{
	(void)arena;
	if (event != WATCH_DELETED)
		take_event(context, object);
}

static bool may_read(void *context)
{
	(void)context;
	return true;
}

bool failed_creates_init(struct failed_creates *creates, struct event_loop *loop,
                         struct breaker *breaker, const struct injection_policy *policy,
                         const struct opted_in_namespaces *namespaces, const char *namespace,
                         int64_t idle)
{
	const struct watch_handler handler = {.begin = begin,
	                                      .take = take,
	                                      .complete = begin,
	                                      .may_read = may_read,
	                                      .context = creates};
	*creates = (struct failed_creates){
	        .loop = loop, .breaker = breaker, .policy = policy, .namespaces = namespaces};
	snprintf(creates->path, sizeof creates->path, "/api/v1/%s%s%sevents",
	         namespace == NULL ? "" : "namespaces/", namespace == NULL ? "" : namespace,
	         namespace == NULL ? "" : "/");
	const struct watch_target target = {.path = creates->path,
	                                    .fields = "reason=FailedCreate",
	                                    .list_filter = list_filter,
	                                    .watch_filter = watch_filter};
	return watcher_init(&creates->watcher, loop, &target, "", idle, &handler);
}

void failed_creates_start(struct failed_creates *creates)
{
	if (creates->loop != NULL)
		watcher_start(&creates->watcher);
}

void failed_creates_free(struct failed_creates *creates)
{
	if (creates->loop == NULL)
		return;
	watcher_free(&creates->watcher);
	*creates = (struct failed_creates){.loop = NULL};
}
