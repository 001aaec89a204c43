/*
 * pump: carries one output stream of the command through the shim, byte for byte, and copies it to
 * the ring on the way.
 *
 * Nothing here blocks, and stdout and stderr are not switched to non-blocking, since other
 * processes share them. So the pump writes with RWF_NOWAIT (pwritev2(2); pipes support it since
 * Linux 6.4). Where that is not supported, it duplicates the bytes from pipe to pipe inside the
 * kernel (tee(2)) and reads them only for the ring; where that fails too, it writes what poll(2)
 * says there is room for. Back-pressure: while the reader does not read, no more than one piece is
 * taken from the command.
 *
 * When the reader of stdout is gone the pump closes the command's pipe, so the command gets the
 * EPIPE or SIGPIPE that it would have got. Another write error (a full disk behind stdout) loses
 * the bytes and is logged once.
 */
#ifndef LASTWORD_WATCHDOG_PUMP_H
#define LASTWORD_WATCHDOG_PUMP_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/ring.h"

#define PUMP_PIECE ((size_t)64 * 1024) /* what a pipe holds */

/* Where the copies go. */
struct output {
	struct ring ring;
	int64_t last; /* when a byte last came or went, clock_now() */
};

struct pump {
	int in;            /* read end of the command's pipe; -1: closed */
	int command;       /* its write end, until the command is started */
	int out;           /* the shim's stdout or stderr */
	bool nowait;       /* RWF_NOWAIT works, or was not tried yet */
	bool tees;         /* out is a pipe, tee(2) works */
	bool regular;      /* out is a file: it never blocks */
	bool full;         /* polling for room in out, not for bytes from in */
	bool error_logged; /* a write error was logged */
	int64_t budget;    /* bytes that may still be carried; -1: any number */
	size_t held;       /* bytes in `bytes`, from `start` on, that are not written yet */
	size_t start;
	char bytes[PUMP_PIECE];
};

/* Makes the pipe for out. A pump that was not opened counts as closed (in and command -1). */
void pump_init(struct pump *pump);
bool pump_open(struct pump *pump, int out, struct error *error);

/* The command was started and has the write end. */
void pump_started(struct pump *pump);

/* What to poll for; fd is -1 when closed. */
struct pollfd pump_poll(const struct pump *pump);

/* Carries what can be carried now, at most a few pieces. Returns whether any byte was. */
bool pump_step(struct pump *pump, struct output *output, int64_t now);

/* The command has ended: only what is in the pipe now is still carried, then the pump is closed. It
 * does not wait for other processes that hold the pipe open. */
void pump_finish(struct pump *pump);

void pump_close(struct pump *pump);

#endif
