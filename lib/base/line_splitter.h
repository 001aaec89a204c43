/*
 * line_splitter: splits a stream of bytes into lines. Pure.
 */
#ifndef LASTWORD_LIB_BASE_LINE_SPLITTER_H
#define LASTWORD_LIB_BASE_LINE_SPLITTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"

struct line_splitter {
	struct buffer partial; /* the line whose end has not come yet */
	bool skipping;         /* that line is too long, or there was no memory for it */
	uint64_t skipped;      /* lines that were skipped, so far */
};

/* A whole line without its newline. False: no more lines are wanted. */
typedef bool line_splitter_take(void *context, const char *line, size_t length);

/* Lines of more than limit bytes are skipped. */
void line_splitter_init(struct line_splitter *splitter, size_t limit);
void line_splitter_free(struct line_splitter *splitter);

/* Forgets the line that is not complete. */
void line_splitter_clear(struct line_splitter *splitter);

/* False: take() returned false; the rest of the bytes is dropped. */
bool line_splitter_feed(struct line_splitter *splitter, const char *bytes, size_t length,
                        line_splitter_take *take, void *context);
/* The stream has ended: what has no newline is a line too. */
bool line_splitter_end(struct line_splitter *splitter, line_splitter_take *take, void *context);

#endif
