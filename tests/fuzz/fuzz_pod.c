/* A pod object's bytes: whatever it says, every end in it becomes a record that can be written, the
 * same from a view and from a copy, and the same from what the observer keeps of it while it
 * streams by. No copy for the pod cache is larger than allowed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/document/json_stream.h"
#include "observer/pod/pod_cache.h"
#include "observer/pod/pod_filter.h"
#include "observer/pod/silence.h"
#include "observer/record/record_builder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *record_of(const struct termination *end)
{
	struct arena *arena = arena_new((size_t)4 << 20);
	struct built_record built;
	struct buffer text;
	if (arena == NULL || !record_build(arena, end, NULL, NULL, &built))
		abort();
	if (end->kind == TERMINATION_REPORTED && end->exit_code != 0 && !built.record)
		abort();
	buffer_init(&text, AGENT_EXIT_SIZE_MAX);
	agent_exit_write(&built.exit, &text);
	if (!buffer_ok(&text))
		abort();
	arena_free(arena);
	return buffer_steal(&text);
}

/* Silence only begins with a failure, is confirmed after it, and is over after that. */
static void check_silence(const struct pod *pod, const struct pod_agent *agent,
                          const struct termination *end, bool gone)
{
	const int64_t now = INT64_MAX / 2;
	struct silence silence;
	if (!silence_read(pod, agent, end, gone, 30, now, &silence))
		return;
	if (end->kind != TERMINATION_REPORTED || end->exit_code == 0 ||
	    silence.failed_at != end->finished_at ||
	    (silence.confirmed_at != 0 && silence.confirmed_at < silence.failed_at) ||
	    (silence.end == SILENCE_LASTS) != (silence.ended_at == 0) ||
	    (silence.ended_at != 0 && silence.confirmed_at > silence.ended_at) ||
	    (gone && silence.ended_at == 0))
		abort();
}

static void check(const struct termination *end)
{
	struct termination *copy = termination_copy(end, SIZE_MAX);
	if (copy == NULL)
		abort();
	char *one = record_of(end);
	char *other = record_of(copy);
	if (end->message == NULL || strlen(end->message) < 12 * 1024) /* a copy cuts it */
		if (strcmp(one, other) != 0)
			abort();
	free(one);
	free(other);
	free(copy);
}

/* Every termination that is in the pod, and every record that comes of one. */
static void check_pod(struct arena *arena, const struct pod *pod, struct buffer *out)
{
	const struct start_timeouts start_timeouts = {.failing = 1, .waiting = 1};
	for (size_t i = 0; i < pod->agent_count; i++) {
		struct termination ends[4];
		int64_t due;
		size_t count = termination_read(arena, pod, &pod->agents[i], ends);
		if (termination_never_started(arena, pod, &pod->agents[i], &start_timeouts,
		                              &ends[count], &due))
			count++;
		termination_unobserved(arena, pod, &pod->agents[i], &ends[count++]);
		for (size_t j = 0; j < count; j++) {
			check(&ends[j]);
			check_silence(pod, &pod->agents[i], &ends[j], false);
			check_silence(pod, &pod->agents[i], &ends[j], true);
			char *record = record_of(&ends[j]);
			buffer_printf(out, "%d %s\n", ends[j].watched, record);
			free(record);
		}
	}
}

/* ---- The part of it that the observer keeps ---- */

static bool take(void *context, const struct json_piece *piece)
{
	if (piece->cut)
		return false;
	*(char **)context = strdup(piece->text);
	return true;
}

/* As an event of a watch; NULL: it is not JSON as RFC 8259 has it, or too large to be kept whole.
 */
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

/* An escape in the name of a container or of an annotation, which no API server writes, is not
 * understood there. */
static bool has_odd_names(const json *root, const char *text, size_t size)
{
	const json *annotations = json_find(root, "metadata", "annotations", NULL);
	for (const json *n = json_first(annotations); n != NULL; n = json_next(n))
		for (const char *c = json_key(n); c != NULL && *c != '\0'; c++)
			if (*c < 0x20 || *c == '"' || *c == '\\')
				return true;
	return memmem(text, size, "\\u", 2) != NULL || memmem(text, size, "\\/", 2) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct arena *arena = arena_new((size_t)32 << 20);
	struct buffer whole;
	struct buffer part;
	struct pod pod;
	json *root;
	if (arena == NULL)
		abort();
	buffer_init(&whole, (size_t)16 << 20);
	buffer_init(&part, (size_t)16 << 20);
	enum json_fidelity fidelity = json_parse(arena, text, size, 0, &root, NULL);
	if (fidelity == JSON_INVALID || !pod_read(arena, root, &pod, NULL)) {
		arena_free(arena);
		return 0;
	}
	check_pod(arena, &pod, &whole);
	char *kept = fidelity == JSON_FAITHFUL && !has_odd_names(root, text, size)
	                     ? kept_of(text, size)
	                     : NULL;
	if (kept != NULL) {
		if (json_parse(arena, kept, strlen(kept), 0, &root, NULL) == JSON_INVALID ||
		    !pod_read(arena, json_get(root, "object"), &pod, NULL))
			abort();
		check_pod(arena, &pod, &part);
		if (strcmp(buffer_text(&whole), buffer_text(&part)) != 0)
			abort();
	}
	free(kept);
	buffer_free(&whole);
	buffer_free(&part);
	arena_free(arena);
	return 0;
}
