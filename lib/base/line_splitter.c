#include "lib/base/line_splitter.h"

#include <string.h>

void line_splitter_init(struct line_splitter *splitter, size_t limit)
{
	*splitter = (struct line_splitter){.skipping = false};
	buffer_init(&splitter->partial, limit);
}

void line_splitter_free(struct line_splitter *splitter)
{
	buffer_free(&splitter->partial);
}

void line_splitter_clear(struct line_splitter *splitter)
{
	buffer_clear(&splitter->partial);
	splitter->skipping = false;
}

static void keep(struct line_splitter *splitter, const char *bytes, size_t length)
{
	if (splitter->skipping)
		return;
	buffer_append(&splitter->partial, bytes, length);
	if (!buffer_ok(&splitter->partial)) {
		splitter->skipping = true;
		splitter->skipped++;
		buffer_clear(&splitter->partial);
	}
}

/* The line that ends here is bytes alone, or what was kept followed by bytes. */
static bool give(struct line_splitter *splitter, const char *bytes, size_t length,
                 line_splitter_take *take, void *context)
{
	bool more = true;
	if (splitter->partial.length == 0 && !splitter->skipping &&
	    length <= splitter->partial.limit) {
		more = take(context, bytes, length);
	} else {
		keep(splitter, bytes, length);
		if (!splitter->skipping)
			more = take(context, buffer_text(&splitter->partial),
			            splitter->partial.length);
	}
	line_splitter_clear(splitter);
	return more;
}

bool line_splitter_feed(struct line_splitter *splitter, const char *bytes, size_t length,
                        line_splitter_take *take, void *context)
{
	while (length > 0) {
		const char *end = memchr(bytes, '\n', length);
		if (end == NULL) {
			keep(splitter, bytes, length);
			return true;
		}
		size_t line = (size_t)(end - bytes);
		if (!give(splitter, bytes, line, take, context))
			return false;
		bytes += line + 1;
		length -= line + 1;
	}
	return true;
}

bool line_splitter_end(struct line_splitter *splitter, line_splitter_take *take, void *context)
{
	if (splitter->partial.length == 0)
		return true;
	return give(splitter, "", 0, take, context);
}
