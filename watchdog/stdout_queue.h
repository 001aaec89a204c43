/*
 * outbox: lines on their way to a stdout that may not be read at once.
 *
 * A line is kept whole or not at all. Nothing here waits but stdout_queue_drain(): a container
 * runtime that does not read must not keep the watchdog from answering shims, or from ending in
 * time. stdout is never switched to non-blocking (others may share it): it is written to only when
 * poll(2) says that there is room, and no more than there is.
 */
#ifndef LASTWORD_WATCHDOG_STDOUT_QUEUE_H
#define LASTWORD_WATCHDOG_STDOUT_QUEUE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STDOUT_QUEUE_SIZE ((size_t)128 * 1024)

struct stdout_queue {
	int fd;
	size_t start; /* of what has not been written */
	size_t end;
	char bytes[STDOUT_QUEUE_SIZE];
};

/* Appends, if it leaves room for `spare` bytes more; false: it does not, the line is lost. */
bool stdout_queue_add(struct stdout_queue *outbox, const char *line, size_t length, size_t spare);

/* What to poll for; fd is -1 when it is empty. */
struct pollfd stdout_queue_poll(const struct stdout_queue *outbox);

/* Writes what can be written at once. A write error loses what there is. */
void stdout_queue_write(struct stdout_queue *outbox);

/* Writes everything, at most until `until` (clock_now()). */
void stdout_queue_drain(struct stdout_queue *outbox, int64_t until);

#endif
