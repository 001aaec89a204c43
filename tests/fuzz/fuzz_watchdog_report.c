/* A watchdog's log: lines in pieces of any size, matched with ends and made records. The first byte
 * says how large the pieces are. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "observer/watch/line_splitter.h"
#include "observer/record/record_builder.h"

#define SECOND INT64_C(1000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct end ends[] = {
        {.kind = END_RUN,
         .namespace = "n",
         .pod = "p",
         .uid = "u",
         .container = "main",
         .reason = "Error",
         .exit_code = 1,
         .started_at = INT64_C(1795459080) * SECOND,
         .finished_at = INT64_C(1795459085) * SECOND},
        {.kind = END_UNSEEN, .namespace = "n", .pod = "p", .uid = "u", .container = "main"},
};

static bool take(void *context, const char *text, size_t length)
{
	size_t *count = context;
	struct line line;
	struct verdict verdict;
	struct buffer out;
	struct arena *arena = arena_new((size_t)4 << 20);
	(*count)++;
	if (arena == NULL || memchr(text, '\n', length) != NULL)
		abort();
	for (size_t i = 0; line_read(arena, text, length, "u", &line) && i < 2; i++) {
		if (line_distance(&line, &ends[i]) < 0)
			continue;
		if (!verdict_make(arena, &ends[i], &line, NULL, &verdict))
			abort();
		buffer_init(&out, AGENT_EXIT_SIZE_MAX);
		agent_exit_write(&verdict.exit, &out);
		if (!buffer_ok(&out))
			abort();
		buffer_free(&out);
	}
	arena_free(arena);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lines lines;
	size_t count = 0;
	size_t wanted = 0;
	if (size == 0)
		return 0;
	size_t piece = (size_t)data[0] + 1;
	const char *text = (const char *)data + 1;
	size--;
	for (size_t i = 0; i < size; i++)
		wanted += text[i] == '\n' || i + 1 == size;
	lines_init(&lines, (size_t)1 << 20);
	for (size_t at = 0; at < size; at += piece)
		lines_feed(&lines, text + at, size - at < piece ? size - at : piece, take, &count);
	lines_end(&lines, take, &count);
	if (count != wanted)
		abort();
	lines_free(&lines);
	return 0;
}
