/* A pod object's bytes: whether it should have been injected, and who its agents are, is the same
 * for what the observer keeps of it while it streams by as for all of it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/document/json_stream.h"
#include "observer/audit/injection_policy.h"
#include "observer/pod/pod_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct injection_policy policy;

struct decision {
	enum uninjected_reason reason;
	size_t agent_count;
	const char *agents[POD_AGENTS_MAX];
};

/* False: it is no pod. */
static bool decide(struct arena *arena, const json *object, bool opted_in,
                   struct decision *ret_decision)
{
	struct pod pod;
	if (!pod_read(arena, object, &pod, NULL))
		return false;
	const struct opt_in namespace = {.opted_in = opted_in,
	                                 .since = INT64_C(1795867200000000000)};
	*ret_decision = (struct decision){
	        .reason = injection_policy_apply(&policy, arena, &pod, namespace)};
	if (ret_decision->reason == UNINJECTED_NOT)
		return true;
	if (!pod.watchdog && (!opted_in || pod.agent_count == 0))
		abort();
	for (size_t i = 0; i < pod.context_count; i++)
		if (pod.context[i].key == NULL || pod.context[i].value == NULL)
			abort();
	ret_decision->agent_count = pod.agent_count;
	for (size_t i = 0; i < pod.agent_count; i++)
		ret_decision->agents[i] = pod.agents[i].name;
	return true;
}

static bool take(void *context, const struct json_piece *piece)
{
	if (piece->cut)
		return false;
	*(char **)context = strdup(piece->text);
	return true;
}

/* NULL: it is not kept whole. */
static char *kept_of(const char *text, size_t size)
{
	static const char before[] = "{\"type\":\"ADDED\",\"object\":";
	static char storage[POD_FILTER_STORAGE];
	struct json_stream stream;
	struct error error;
	char *kept = NULL;
	if (!json_stream_init(&stream, pod_watch_filter, POD_FILTER_EXTRA_MAX, storage,
	                      sizeof storage, &error))
		abort();
	if (json_stream_feed(&stream, before, sizeof before - 1, take, &kept, &error) &&
	    json_stream_feed(&stream, text, size, take, &kept, &error))
		json_stream_feed(&stream, "}", 1, take, &kept, &error);
	return kept;
}

static void compare(const struct decision *whole, const struct decision *part)
{
	if (whole->reason != part->reason || whole->agent_count != part->agent_count)
		abort();
	for (size_t i = 0; i < whole->agent_count; i++)
		if (strcmp(whole->agents[i], part->agents[i]) != 0)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct error error;
	struct decision whole;
	struct decision part;
	json *root;
	if (policy.config == NULL &&
	    !injection_policy_load(&policy, "manifests/base/config.yaml", &error))
		abort();
	struct arena *arena = arena_new((size_t)32 << 20);
	if (arena == NULL)
		abort();
	/* Escapes in keys, which no API server writes, are not understood by wildcards. */
	bool odd = memchr(text, '\\', size) != NULL;
	if (json_parse(arena, text, size, 0, &root, NULL) == JSON_FAITHFUL &&
	    decide(arena, root, true, &whole) && !odd) {
		char *kept = kept_of(text, size);
		if (kept != NULL) {
			if (json_parse(arena, kept, strlen(kept), 0, &root, NULL) == JSON_INVALID ||
			    !decide(arena, json_get(root, "object"), true, &part))
				abort();
			compare(&whole, &part);
			decide(arena, json_get(root, "object"), false, &part);
		}
		free(kept);
	}
	arena_free(arena);
	return 0;
}
