/*
 * lines: a stream of bytes cut into lines. Pure.
 */
#ifndef LASTWORD_OBSERVER_WATCH_LINE_SPLITTER_H
#define LASTWORD_OBSERVER_WATCH_LINE_SPLITTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"

struct lines {
	struct buffer partial; /* the line that is not whole yet */
	bool skipping;         /* it is longer than the limit, or there is no memory for it */
	uint64_t skipped;      /* such lines, so far */
};

/* A whole line without its line end. false: no more. */
typedef bool lines_take(void *context, const char *line, size_t length);

/* Longer lines than limit are left out. */
void lines_init(struct lines *lines, size_t limit);
void lines_free(struct lines *lines);

/* Forgets what was fed so far. */
void lines_clear(struct lines *lines);

/* False: take() did not want more; the rest of the bytes is dropped. */
bool lines_feed(struct lines *lines, const char *bytes, size_t length, lines_take *take,
                void *context);
/* The stream is over: what has no line end is a line too. */
bool lines_end(struct lines *lines, lines_take *take, void *context);

#endif
