/* A pod object's bytes: whatever it says, every end in it becomes a record that can be written, the
 * same from a view and from a copy, and no copy for the table of live pods is larger than allowed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "observer/pod/pod_cache.h"
#include "observer/record/record_builder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *record_of(const struct end *end)
{
	struct arena *arena = arena_new((size_t)4 << 20);
	struct verdict verdict;
	struct buffer text;
	if (arena == NULL || !verdict_make(arena, end, NULL, NULL, &verdict))
		abort();
	if (end->kind == END_RUN && end->exit_code != 0 && !verdict.record)
		abort();
	if (verdict.exit.silent && !(verdict.failed && end->final && end->others_run))
		abort();
	buffer_init(&text, AGENT_EXIT_SIZE_MAX);
	agent_exit_write(&verdict.exit, &text);
	if (!buffer_ok(&text))
		abort();
	arena_free(arena);
	return buffer_steal(&text);
}

static void check(const struct end *end)
{
	struct end *copy = end_copy(end, SIZE_MAX);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct end_patience patience = {.failing = 1, .waiting = 1};
	struct arena *arena = arena_new((size_t)16 << 20);
	struct pod pod;
	json *root;
	if (arena == NULL)
		abort();
	if (json_parse(arena, (const char *)data, size, 0, &root, NULL) == JSON_INVALID ||
	    !pod_read(arena, root, &pod, NULL)) {
		arena_free(arena);
		return 0;
	}
	for (size_t i = 0; i < pod.agent_count; i++) {
		struct end ends[4];
		int64_t due;
		size_t count = end_read(arena, &pod, &pod.agents[i], ends);
		if (end_never_started(arena, &pod, &pod.agents[i], &patience, &ends[count], &due))
			count++;
		end_unseen(arena, &pod, &pod.agents[i], &ends[count++]);
		for (size_t j = 0; j < count; j++)
			check(&ends[j]);
	}
	arena_free(arena);
	return 0;
}
