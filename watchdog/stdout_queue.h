/*
 * stdout_queue: reports that wait until stdout takes them.
 *
 * A report is queued whole or not at all. Only stdout_queue_drain() waits: a container runtime that
 * does not read must not keep the watchdog from serving shims, or from ending in time. stdout is
 * not switched to non-blocking, since other processes may share it: the queue writes only what
 * poll(2) says there is room for.
 */
#ifndef LASTWORD_WATCHDOG_STDOUT_QUEUE_H
#define LASTWORD_WATCHDOG_STDOUT_QUEUE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stdout_queue {
	int fd;
	char *bytes; /* the caller's */
	size_t capacity;
	uint64_t written; /* bytes of all lines so far */
	size_t start;     /* of what has not been written */
	size_t end;
};

/* Appends a line if that leaves room for `spare` more bytes; false: it does not. */
bool stdout_queue_add(struct stdout_queue *queue, const char *line, size_t length, size_t spare);

/* The number of the byte behind the last line; it is written when `written` has reached that. */
uint64_t stdout_queue_end(const struct stdout_queue *queue);

/* What to poll for; fd is -1 when the queue is empty. */
struct pollfd stdout_queue_poll(const struct stdout_queue *queue);

/* Writes what can be written at once. A write error empties the queue. */
void stdout_queue_write(struct stdout_queue *queue);

/* Writes everything, at most until `until` (clock_now()). */
void stdout_queue_drain(struct stdout_queue *queue, int64_t until);

#endif
