/* A watchdog's log: lines in pieces of any size, matched with terminations and built into records.
 * The first byte is the size of the pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/line_splitter.h"
#include "observer/record/record_builder.h"

#define SECOND INT64_C(1000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct termination terminations[] = {
        {.kind = TERMINATION_REPORTED,
         .namespace = "n",
         .pod = "p",
         .uid = "u",
         .container = "main",
         .reason = "Error",
         .exit_code = 1,
         .started_at = INT64_C(1795459080) * SECOND,
         .finished_at = INT64_C(1795459085) * SECOND},
        {.kind = TERMINATION_UNOBSERVED,
         .namespace = "n",
         .pod = "p",
         .uid = "u",
         .container = "main"},
};

static bool take(void *context, const char *text, size_t length)
{
	size_t *count = context;
	struct watchdog_report report;
	struct built_record built;
	struct buffer out;
	struct arena *arena = arena_new((size_t)4 << 20);
	(*count)++;
	if (arena == NULL || memchr(text, '\n', length) != NULL)
		abort();
	for (size_t i = 0; watchdog_report_read(arena, text, length, "u", &report) && i < 2; i++) {
		if (watchdog_report_distance(&report, &terminations[i]) < 0)
			continue;
		if (!record_build(arena, &terminations[i], &report, NULL, &built))
			abort();
		buffer_init(&out, AGENT_EXIT_SIZE_MAX);
		agent_exit_write(&built.exit, &out);
		if (!buffer_ok(&out))
			abort();
		buffer_free(&out);
	}
	arena_free(arena);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct line_splitter splitter;
	size_t count = 0;
	size_t wanted = 0;
	if (size == 0)
		return 0;
	size_t piece = (size_t)data[0] + 1;
	const char *text = (const char *)data + 1;
	size--;
	for (size_t i = 0; i < size; i++)
		wanted += text[i] == '\n' || i + 1 == size;
	line_splitter_init(&splitter, (size_t)1 << 20);
	for (size_t at = 0; at < size; at += piece)
		line_splitter_feed(&splitter, text + at, size - at < piece ? size - at : piece,
		                   take, &count);
	line_splitter_end(&splitter, take, &count);
	if (count != wanted)
		abort();
	line_splitter_free(&splitter);
	return 0;
}
