/*
 * pump: carries one output stream of the command through the shim, byte for byte, and shows each
 * byte to the ring on its way.
 *
 * Nothing here waits, and stdout and stderr are never switched to non-blocking, since other
 * processes share them. So what is read is written with RWF_NOWAIT (pwritev2(2); pipes know it
 * since Linux 6.4). Where that is not known, bytes are duplicated between two pipes inside the
 * kernel (tee(2)) and read for the ring alone; else they are written when poll(2) says that there
 * is room, and no more than there is. Back-pressure: while the other side does not read, no more
 * than one piece is taken from the command.
 *
 * When the reader of stdout is gone the command's pipe is closed, and it gets the EPIPE or SIGPIPE
 * that it would have got. A write error that only we see (a full disk behind stdout) loses the
 * bytes, said once.
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

/* Where copies of the bytes go. */
struct output {
	struct ring ring;
	int64_t last; /* when a byte last came or went, clock_now() */
};

struct pump {
	int in;         /* read end of the command's pipe; -1: closed */
	int command;    /* its write end, until the command has it */
	int out;        /* our stdout or stderr */
	bool nowait;    /* RWF_NOWAIT works, as far as is known */
	bool tees;      /* out is a pipe, tee(2) works */
	bool regular;   /* out is a file: it never blocks */
	bool full;      /* waiting for out, not for in */
	bool told;      /* a write error was said */
	int64_t budget; /* bytes that may still be carried; -1: any number */
	size_t held;    /* bytes in `bytes` from `start` on that out has not taken yet */
	size_t start;
	char bytes[PUMP_PIECE];
};

/* Makes the pipe for out. A pump that is not opened is closed (in and command -1). */
void pump_init(struct pump *pump);
bool pump_open(struct pump *pump, int out, struct error *error);

/* After the command was started: the write end is its own. */
void pump_started(struct pump *pump);

/* What to poll for; fd is -1 when closed. */
struct pollfd pump_poll(const struct pump *pump);

/* Carries what can be carried now, at most a few pieces. Returns whether anything was. */
bool pump_step(struct pump *pump, struct output *output, int64_t now);

/* The command has ended: from now on only what is in the pipe by now is carried, and then closed.
 * Others that hold the pipe are not waited for. */
void pump_finish(struct pump *pump);

void pump_close(struct pump *pump);

#endif
