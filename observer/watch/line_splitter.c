#include "observer/watch/line_splitter.h"

#include <string.h>

void lines_init(struct lines *lines, size_t limit)
{
	*lines = (struct lines){.skipping = false};
	buffer_init(&lines->partial, limit);
}

void lines_free(struct lines *lines)
{
	buffer_free(&lines->partial);
}

void lines_clear(struct lines *lines)
{
	buffer_clear(&lines->partial);
	lines->skipping = false;
}

static void keep(struct lines *lines, const char *bytes, size_t length)
{
	if (lines->skipping)
		return;
	buffer_append(&lines->partial, bytes, length);
	if (!buffer_ok(&lines->partial)) {
		lines->skipping = true;
		lines->skipped++;
		buffer_clear(&lines->partial);
	}
}

/* The line that ends here: bytes alone, or what was kept and bytes. */
static bool give(struct lines *lines, const char *bytes, size_t length, lines_take *take,
                 void *context)
{
	bool more = true;
	if (lines->partial.length == 0 && !lines->skipping && length <= lines->partial.limit) {
		more = take(context, bytes, length);
	} else {
		keep(lines, bytes, length);
		if (!lines->skipping)
			more = take(context, buffer_text(&lines->partial), lines->partial.length);
	}
	lines_clear(lines);
	return more;
}

bool lines_feed(struct lines *lines, const char *bytes, size_t length, lines_take *take,
                void *context)
{
	while (length > 0) {
		const char *end = memchr(bytes, '\n', length);
		if (end == NULL) {
			keep(lines, bytes, length);
			return true;
		}
		size_t line = (size_t)(end - bytes);
		if (!give(lines, bytes, line, take, context))
			return false;
		bytes += line + 1;
		length -= line + 1;
	}
	return true;
}

bool lines_end(struct lines *lines, lines_take *take, void *context)
{
	if (lines->partial.length == 0)
		return true;
	return give(lines, "", 0, take, context);
}
