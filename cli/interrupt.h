/*
 * interrupt: the end of a command that runs until it is interrupted: SIGINT, SIGTERM or SIGHUP, or
 * nobody reads standard output any more.
 *
 * From interrupt_begin() on these signals and SIGPIPE are blocked for the process: a write to a
 * pipe that nobody reads fails with EPIPE. A signal that the parent ignores (nohup, a shell's
 * background jobs) stays ignored. Once for a process, before it has threads.
 */
#ifndef LASTWORD_CLI_INTERRUPT_H
#define LASTWORD_CLI_INTERRUPT_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>

#include "lib/base/error.h"

#define INTERRUPT_FILES 2

struct interrupt {
	int file;        /* readable once a signal came */
	sigset_t before; /* the signals that were blocked before: those of a child process */
};

bool interrupt_begin(struct interrupt *interrupt, struct error *error);

/* The entries for poll(); interrupt NULL: entries that nothing happens to. */
void interrupt_poll(const struct interrupt *interrupt, struct pollfd ret_files[INTERRUPT_FILES]);

/* What poll() said of these entries: it is interrupted. */
bool interrupt_came(const struct pollfd files[INTERRUPT_FILES]);

/* Waits so many milliseconds. True: it is interrupted. */
bool interrupt_wait(const struct interrupt *interrupt, int milliseconds);

#endif
