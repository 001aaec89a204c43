#include "watchdog/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "watchdog/stderr_log.h"

/* At most this much at a time, so that signals and the other stream get their turn. */
#define TEE_MAX ((size_t)64 * 1024)

/* A pipe that poll(2) calls writable takes this much without waiting (pipe(7)). */
#define WRITE_MAX ((size_t)PIPE_BUF)

/* From linux/fs.h, which conflicts with musl's headers. */
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

/* How often read(2) of bytes that are in the pipe is tried, a millisecond apart. */
#define READ_TRIES 1000

void pump_init(struct pump *pump)
{
	pump->in = -1;
	pump->command = -1;
	pump->budget = -1;
	pump->held = 0;
	pump->full = false;
	pump->error_logged = false;
}

bool pump_open(struct pump *pump, int out, struct error *error)
{
	int ends[2];
	struct stat status;
	pump_init(pump);
	if (fstat(out, &status) < 0)
		return error_set_errno(error, errno, "fstat");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "pipe2");
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
		error_set_errno(error, errno, "fcntl");
		close(ends[0]);
		close(ends[1]);
		return false;
	}
	pump->in = ends[0];
	pump->command = ends[1];
	pump->out = out;
	pump->nowait = !S_ISREG(status.st_mode);
	pump->tees = S_ISFIFO(status.st_mode);
	pump->regular = S_ISREG(status.st_mode);
	return true;
}

void pump_started(struct pump *pump)
{
	if (pump->command >= 0)
		close(pump->command);
	pump->command = -1;
}

void pump_close(struct pump *pump)
{
	pump_started(pump);
	if (pump->in >= 0)
		close(pump->in);
	pump->in = -1;
	pump->held = 0;
	pump->full = false;
}

struct pollfd pump_poll(const struct pump *pump)
{
	if (pump->full)
		return (struct pollfd){.fd = pump->out, .events = POLLOUT};
	return (struct pollfd){.fd = pump->in, .events = POLLIN};
}

static void copy_to_ring(struct output *output, const char *bytes, size_t length, int64_t now)
{
	output->last = now;
	ring_write(&output->ring, bytes, length, now);
}

static void spend(struct pump *pump, size_t length)
{
	if (pump->budget >= 0)
		pump->budget -= (int64_t)length;
}

static size_t allowed(const struct pump *pump, size_t most)
{
	return pump->budget >= 0 && (uint64_t)pump->budget < most ? (size_t)pump->budget : most;
}

/* Reads into the ring what tee() has duplicated. The bytes are in the pipe, so read(2) waits for
 * nothing. */
static bool consume(struct pump *pump, size_t length, struct output *output, int64_t now)
{
	output->last = now;
	for (int tries = 0; length > 0 && tries < READ_TRIES;) {
		size_t most;
		char *place = ring_reserve(&output->ring, length, &most);
		ssize_t got = read(pump->in, place, most);
		ring_commit(&output->ring, got > 0 ? (size_t)got : 0, now);
		if (got > 0) {
			length -= (size_t)got;
		} else if (got == 0 || errno != EINTR) {
			tries++;
			nanosleep(&(struct timespec){.tv_nsec = MILLISECOND}, NULL);
		}
	}
	return length == 0;
}

enum step { STEP_MOVED, STEP_WAIT, STEP_CLOSED };

/* Whether out takes a write now. */
static bool writable(const struct pump *pump)
{
	struct pollfd out = {.fd = pump->out, .events = POLLOUT};
	return pump->regular || (poll(&out, 1, 0) == 1 && (out.revents & (POLLOUT | POLLERR)));
}

static enum step step_tee(struct pump *pump, struct output *output, int64_t now)
{
	ssize_t moved = tee(pump->in, pump->out, allowed(pump, TEE_MAX), SPLICE_F_NONBLOCK);
	if (moved > 0) {
		spend(pump, (size_t)moved);
		return consume(pump, (size_t)moved, output, now) ? STEP_MOVED : STEP_CLOSED;
	}
	if (moved == 0 || errno == EPIPE)
		return STEP_CLOSED;
	if (errno == EAGAIN) {
		pump->full = !writable(pump); /* or the pipe is empty */
		return STEP_WAIT;
	}
	pump->tees = false;
	return STEP_MOVED; /* the next step copies */
}

/* As write(2), but EAGAIN where it would block. */
static ssize_t write_now(struct pump *pump)
{
	struct iovec held = {.iov_base = pump->bytes + pump->start, .iov_len = pump->held};
	if (pump->nowait) {
		/* musl has pwritev2() since 1.2.5. -1: at no offset. */
		ssize_t written = syscall(SYS_pwritev2, (long)pump->out, &held, 1L, -1L, -1L,
		                          (long)RWF_NOWAIT);
		if (written >= 0 || errno == EAGAIN || errno == EINTR || errno == EPIPE)
			return written;
		pump->nowait = false; /* not supported, or denied: write(2) tells */
	}
	if (!writable(pump)) {
		errno = EAGAIN;
		return -1;
	}
	size_t most = pump->regular || pump->held < WRITE_MAX ? pump->held : WRITE_MAX;
	return write(pump->out, pump->bytes + pump->start, most);
}

static enum step write_held(struct pump *pump)
{
	ssize_t written = write_now(pump);
	if (written < 0 && (errno == EAGAIN || errno == EINTR))
		return STEP_WAIT;
	if (written < 0 && errno == EPIPE)
		return STEP_CLOSED;
	if (written < 0) {
		if (!pump->error_logged)
			stderr_log_errno(errno, "cannot write the command's output, it is lost");
		pump->error_logged = true;
		written = (ssize_t)pump->held;
	}
	pump->start += (size_t)written;
	pump->held -= (size_t)written;
	return STEP_MOVED;
}

static enum step step_copy(struct pump *pump, struct output *output, int64_t now)
{
	if (pump->held == 0) {
		pump->full = false;
		ssize_t got = read(pump->in, pump->bytes, allowed(pump, sizeof pump->bytes));
		if (got == 0)
			return STEP_CLOSED;
		if (got < 0)
			return STEP_WAIT; /* EAGAIN, or an error that the next try meets again */
		pump->start = 0;
		pump->held = (size_t)got;
		spend(pump, pump->held);
		copy_to_ring(output, pump->bytes, pump->held, now);
	}
	enum step step = write_held(pump);
	output->last = now;
	pump->full = pump->held > 0;
	return step;
}

/* Nothing more is to be carried. */
static bool is_spent(const struct pump *pump)
{
	return pump->budget == 0 && pump->held == 0;
}

bool pump_step(struct pump *pump, struct output *output, int64_t now)
{
	bool any = false;
	for (int turn = 0; turn < 8 && pump->in >= 0; turn++) {
		bool tees = pump->tees && !pump->nowait && pump->held == 0;
		if (tees)
			pump->full = false;
		enum step step = tees ? step_tee(pump, output, now) : step_copy(pump, output, now);
		if (step == STEP_WAIT)
			break;
		any = true;
		if (step == STEP_CLOSED || is_spent(pump))
			pump_close(pump);
		else if (tees || (pump->nowait && pump->held == 0))
			break; /* mostly that was all: poll(2) is cheaper than another try */
	}
	return any;
}

void pump_finish(struct pump *pump)
{
	int inside = 0;
	if (pump->in < 0)
		return;
	/* If the kernel does not tell: what a pipe holds by default. */
	if (ioctl(pump->in, FIONREAD, &inside) < 0 || inside < 0)
		inside = 16 * 4096;
	pump->budget = inside;
	if (is_spent(pump))
		pump_close(pump);
}
