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

static char *record_of(const struct termination *end)
{
	struct arena *arena = arena_new((size_t)4 << 20);
	struct built_record built;
	struct buffer text;
	if (arena == NULL || !record_build(arena, end, NULL, NULL, &built))
		abort();
	if (end->kind == TERMINATION_REPORTED && end->exit_code != 0 && !built.record)
		abort();
	if (built.exit.silent && !(built.failed && end->final && end->others_running))
		abort();
	buffer_init(&text, AGENT_EXIT_SIZE_MAX);
	agent_exit_write(&built.exit, &text);
	if (!buffer_ok(&text))
		abort();
	arena_free(arena);
	return buffer_steal(&text);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct start_timeouts start_timeouts = {.failing = 1, .waiting = 1};
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
		struct termination ends[4];
		int64_t due;
		size_t count = termination_read(arena, &pod, &pod.agents[i], ends);
		if (termination_never_started(arena, &pod, &pod.agents[i], &start_timeouts,
		                              &ends[count], &due))
			count++;
		termination_unobserved(arena, &pod, &pod.agents[i], &ends[count++]);
		for (size_t j = 0; j < count; j++)
			check(&ends[j]);
	}
	arena_free(arena);
	return 0;
}
