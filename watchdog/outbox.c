#include "watchdog/outbox.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"

bool outbox_add(struct outbox *outbox, const char *line, size_t length, size_t spare)
{
	size_t room = OUTBOX_SIZE - (outbox->end - outbox->start);
	if (spare > room || length > room - spare)
		return false;
	if (length > OUTBOX_SIZE - outbox->end) {
		memmove(outbox->bytes, outbox->bytes + outbox->start, outbox->end - outbox->start);
		outbox->end -= outbox->start;
		outbox->start = 0;
	}
	memcpy(outbox->bytes + outbox->end, line, length);
	outbox->end += length;
	return true;
}

struct pollfd outbox_poll(const struct outbox *outbox)
{
	int fd = outbox->start < outbox->end ? outbox->fd : -1;
	return (struct pollfd){.fd = fd, .events = POLLOUT};
}

void outbox_write(struct outbox *outbox)
{
	struct pollfd ready = outbox_poll(outbox);
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
		ready = outbox_poll(outbox);
	}
}

void outbox_drain(struct outbox *outbox, int64_t until)
{
	for (;;) {
		outbox_write(outbox);
		struct pollfd ready = outbox_poll(outbox);
		int64_t now = clock_now();
		if (ready.fd < 0 || now >= until)
			return;
		poll(&ready, 1, clock_timeout(now, until));
	}
}
