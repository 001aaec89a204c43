/*
 * signals: how the shim takes every signal and which of them the command gets.
 *
 * All signals are blocked and read from a signalfd, so nothing runs asynchronously. The kernel's
 * own 64-bit masks are used, because C libraries keep some real-time signals out of theirs.
 *
 * Forwarding. Where the shim stands in for process 1 of a PID namespace, a signal is forwarded only
 * if the command catches it, or blocks it for good or waits for it (sigwait, signalfd): the kernel
 * drops signals with default action that are sent to process 1 (signal.c, SIGNAL_UNKILLABLE), so
 * the command would not have noticed either. Anywhere else a signal is forwarded as it came.
 * SIGCHLD never is; a queued signal keeps its value. The shim's own SIGPIPE is not the command's.
 */
#ifndef LASTWORD_WATCHDOG_SIGNALS_H
#define LASTWORD_WATCHDOG_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/signalfd.h>
#include <sys/types.h>

#include "lib/base/error.h"

struct signals {
	int fd;                 /* the signalfd, non-blocking; -1: none */
	uint64_t mask;          /* as it was before */
	struct sigaction child; /* SIGCHLD's disposition as it was before */
};

/* Blocks everything and opens the signalfd; on failure everything is as before. */
bool signals_take(struct signals *ret_signals, struct error *error);

/* Blocks everything once more: fork() of the C library puts back a mask that it may not have got.
 */
void signals_hold(void);

/* Mask and dispositions as they were: in the command before exec. Async-signal-safe. */
void signals_restore(const struct signals *signals);

/* The next signal; false: none is pending. */
bool signals_next(const struct signals *signals, struct signalfd_siginfo *ret_info);

/* As kill(2), also to a process of another user where the shim is root without CAP_KILL. true: it
 * was sent, as far as can be told. */
bool signals_send(pid_t pid, int number);

/*
 * Sends to pid what was received. as_process_1: only what the command would have noticed as process
 * 1, see above. Returns whether it was sent. May take 10 ms for a signal that is blocked and not
 * caught.
 */
bool signals_forward(pid_t pid, const struct signalfd_siginfo *info, bool as_process_1);

/* What /proc/PID/status says about a signal; pure. false: the text does not tell. */
bool signals_find_mask(const char *status, const char *field, uint64_t *ret_mask);

/* The signal asks a process to end: SIGTERM, SIGINT, SIGQUIT, SIGHUP. */
bool signal_terminates(int number);

#endif
