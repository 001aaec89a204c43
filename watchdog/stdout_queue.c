#include "watchdog/stdout_queue.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"

bool stdout_queue_add(struct stdout_queue *outbox, const char *line, size_t length, size_t spare)
{
	size_t room = STDOUT_QUEUE_SIZE - (outbox->end - outbox->start);
	if (spare > room || length > room - spare)
		return false;
	if (length > STDOUT_QUEUE_SIZE - outbox->end) {
		memmove(outbox->bytes, outbox->bytes + outbox->start, outbox->end - outbox->start);
		outbox->end -= outbox->start;
		outbox->start = 0;
	}
	memcpy(outbox->bytes + outbox->end, line, length);
	outbox->end += length;
	return true;
}

struct pollfd stdout_queue_poll(const struct stdout_queue *outbox)
{
	int fd = outbox->start < outbox->end ? outbox->fd : -1;
	return (struct pollfd){.fd = fd, .events = POLLOUT};
}

void stdout_queue_write(struct stdout_queue *outbox)
{
	struct pollfd ready = stdout_queue_poll(outbox);
	while (ready.fd >= 0 && poll(&ready, 1, 0) == 1) {
		size_t length = outbox->end - outbox->start;
		/* A pipe that poll(2) calls writable takes this much without waiting (pipe(7)). */
		ssize_t written = write(outbox->fd, outbox->bytes + outbox->start,
		                        length < PIPE_BUF ? length : PIPE_BUF);
		if (written < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		outbox->start = written < 0 ? outbox->end : outbox->start + (size_t)written;
		if (outbox->start == outbox->end)
			outbox->start = outbox->end = 0;
		ready = stdout_queue_poll(outbox);
	}
}

void stdout_queue_drain(struct stdout_queue *outbox, int64_t until)
{
	for (;;) {
		stdout_queue_write(outbox);
		struct pollfd ready = stdout_queue_poll(outbox);
		int64_t now = clock_now();
		if (ready.fd < 0 || now >= until)
			return;
		poll(&ready, 1, clock_timeout(now, until));
	}
}
