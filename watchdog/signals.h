/*
 * signals: how the shim receives every signal, and which of them it forwards to the command.
 *
 * All signals are blocked and read from a signalfd, so there are no asynchronous handlers. The
 * kernel's own 64-bit masks are used, because C libraries leave some real-time signals out of
 * sigset_t.
 *
 * Forwarding: the kernel drops signals with default action that are sent to process 1 of a PID
 * namespace (signal.c, SIGNAL_UNKILLABLE). So where the shim is process 1 in place of the command,
 * it forwards a signal only if the command would have noticed it: if the command catches it, blocks
 * it for good, or waits for it (sigwait, signalfd). Elsewhere every signal is forwarded. SIGCHLD
 * and the shim's own SIGPIPE never are; a queued signal keeps its value.
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
	int fd;                 /* signalfd of all signals, non-blocking; -1: none */
	int sigterm_fd;         /* of SIGTERM alone; -1: none */
	uint64_t mask;          /* as it was before */
	struct sigaction child; /* SIGCHLD's disposition as it was before */
};

/* Blocks all signals and opens the signalfd; on failure everything is as before. */
bool signals_take(struct signals *ret_signals, struct error *error);

/* Blocks all signals once more: fork() of the C library restores a mask that may be another one.
 */
void signals_hold(void);

/* Closes the signalfds. */
void signals_close(struct signals *signals);

/* Restores mask and dispositions, in the child before exec. Async-signal-safe. */
void signals_restore(const struct signals *signals);

/* The next signal; false: none is pending. SIGTERM comes first: the kernel hands out the lowest
 * number first, so a flood of those below would delay it for ever. */
bool signals_next(const struct signals *signals, struct signalfd_siginfo *ret_info);

/* As kill(2), and also works on a process of another user where the shim is root without CAP_KILL.
 * true: it was sent, as far as the kernel tells. */
bool signals_send(pid_t pid, int number);

/*
 * Forwards a received signal to pid. as_process_1: only if the command would have noticed it as
 * process 1, see above. Returns whether it was sent. Takes up to 10 ms for a signal that is blocked
 * and not caught.
 */
bool signals_forward(pid_t pid, const struct signalfd_siginfo *info, bool as_process_1);

/* A signal mask of /proc/PID/status, such as "\nSigCgt:"; pure. false: it is not in the text. */
bool signals_find_mask(const char *status, const char *field, uint64_t *ret_mask);

/* The signal asks a process to end: SIGTERM, SIGINT, SIGQUIT, SIGHUP. */
bool signal_terminates(int number);

#endif
