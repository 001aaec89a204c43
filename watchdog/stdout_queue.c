#include "watchdog/stdout_queue.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"

bool stdout_queue_add(struct stdout_queue *queue, const char *line, size_t length, size_t spare)
{
	size_t room = queue->capacity - (queue->end - queue->start);
	if (spare > room || length > room - spare)
		return false;
	if (length > queue->capacity - queue->end) {
		memmove(queue->bytes, queue->bytes + queue->start, queue->end - queue->start);
		queue->end -= queue->start;
		queue->start = 0;
	}
	memcpy(queue->bytes + queue->end, line, length);
	queue->end += length;
	return true;
}

uint64_t stdout_queue_end(const struct stdout_queue *queue)
{
	return queue->written + (queue->end - queue->start);
}

struct pollfd stdout_queue_poll(const struct stdout_queue *queue)
{
	int fd = queue->start < queue->end ? queue->fd : -1;
	return (struct pollfd){.fd = fd, .events = POLLOUT};
}

void stdout_queue_write(struct stdout_queue *queue)
{
	struct pollfd ready = stdout_queue_poll(queue);
	while (ready.fd >= 0 && poll(&ready, 1, 0) == 1) {
		size_t length = queue->end - queue->start;
		/* A pipe that poll(2) calls writable takes this much without waiting (pipe(7)). */
		ssize_t written = write(queue->fd, queue->bytes + queue->start,
		                        length < PIPE_BUF ? length : PIPE_BUF);
		if (written < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		size_t done = written < 0 ? length : (size_t)written;
		queue->start += done;
		queue->written += done;
		if (queue->start == queue->end)
			queue->start = queue->end = 0;
		ready = stdout_queue_poll(queue);
	}
}

void stdout_queue_drain(struct stdout_queue *queue, int64_t until)
{
	for (;;) {
		stdout_queue_write(queue);
		struct pollfd ready = stdout_queue_poll(queue);
		int64_t now = clock_now();
		if (ready.fd < 0 || now >= until)
			return;
		poll(&ready, 1, clock_timeout(now, until));
	}
}
