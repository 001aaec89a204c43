/*
 * log_buffer: the last bytes of a container's log while it is being read. Pure but for memory.
 *
 * The parameter limitBytes of pods/log keeps the beginning of a log, so its end is kept here, in a
 * ring that is made when the first byte comes. What a kubelet appended about its own trouble
 * (log_error.h) is no part of the log.
 */
#ifndef LASTWORD_OBSERVER_EVIDENCE_LOG_BUFFER_H
#define LASTWORD_OBSERVER_EVIDENCE_LOG_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/ring.h"

#define LOG_BUFFER_SIZE  ((size_t)32 * 1024)
#define LOG_BUFFER_LINES 200 /* tailLines of the requests whose bodies come here */

/* Zeroed memory is an empty one. */
struct log_buffer {
	void *memory;
	struct ring ring;
};

void log_buffer_free(struct log_buffer *buffer);

/* Without memory the bytes are dropped. */
void log_buffer_append(struct log_buffer *buffer, const char *bytes, size_t length);

struct log_text {
	char *bytes; /* malloc'ed, without a NUL; NULL: there is no log */
	size_t length;
	bool cut;    /* it does not begin where the log began, as far as is known */
	bool failed; /* the kubelet could not read the log, or not to its end */
};

/* A copy of what the buffer holds, the caller's. */
struct log_text log_buffer_read(const struct log_buffer *buffer);

#endif
