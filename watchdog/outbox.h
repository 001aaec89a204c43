/*
 * outbox: lines on their way to a stdout that may not be read at once.
 *
 * A line is kept whole or not at all. Nothing here waits but outbox_drain(): a container runtime
 * that does not read must not keep the watchdog from answering shims, or from ending in time.
 * stdout is never switched to non-blocking (others may share it): it is written to only when
 * poll(2) says that there is room, and no more than there is.
 */
#ifndef LASTWORD_WATCHDOG_OUTBOX_H
#define LASTWORD_WATCHDOG_OUTBOX_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTBOX_SIZE ((size_t)128 * 1024)

struct outbox {
	int fd;
	size_t start; /* of what has not been written */
	size_t end;
	char bytes[OUTBOX_SIZE];
};

/* Appends, if it leaves room for `spare` bytes more; false: it does not, the line is lost. */
bool outbox_add(struct outbox *outbox, const char *line, size_t length, size_t spare);

/* What to poll for; fd is -1 when it is empty. */
struct pollfd outbox_poll(const struct outbox *outbox);

/* Writes what can be written at once. A write error loses what there is. */
void outbox_write(struct outbox *outbox);

/* Writes everything, at most until `until` (clock_now()). */
void outbox_drain(struct outbox *outbox, int64_t until);

#endif
