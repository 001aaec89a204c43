#include "watchdog/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/ascii.h"
#include "lib/base/clock.h"

#define BIT(number) (UINT64_C(1) << ((number)-1))

/* /proc/PID/status is about 1.5 KiB; the masks are in its second half. */
#define STATUS_SIZE 4096

/* How long a signal has to stay blocked until it counts as blocked for good. */
#define BLOCKED_PROBES 3
#define PROBE_WAIT     (5 * MILLISECOND)

static int set_mask(uint64_t mask, uint64_t *ret_before)
{
	return (int)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, ret_before, sizeof mask);
}

static int open_signalfd(uint64_t mask)
{
	return (int)syscall(SYS_signalfd4, -1, &mask, sizeof mask, SFD_NONBLOCK | SFD_CLOEXEC);
}

bool signals_take(struct signals *ret_signals, struct error *error)
{
	struct signals signals = {.fd = -1, .sigterm_fd = -1};
	const uint64_t all = UINT64_MAX;
	const struct sigaction plain = {.sa_handler = SIG_DFL};
	/* While SIGCHLD is ignored the kernel discards the command's exit status. */
	if (sigaction(SIGCHLD, &plain, &signals.child) < 0)
		return error_set_errno(error, errno, "sigaction");
	if (set_mask(all, &signals.mask) < 0) {
		error_set_errno(error, errno, "rt_sigprocmask");
		sigaction(SIGCHLD, &signals.child, NULL);
		return false;
	}
	signals.fd = open_signalfd(all);
	if (signals.fd < 0) {
		error_set_errno(error, errno, "signalfd");
		signals_restore(&signals);
		return false;
	}
	signals.sigterm_fd = open_signalfd(BIT(SIGTERM));
	*ret_signals = signals;
	return true;
}

void signals_hold(void)
{
	set_mask(UINT64_MAX, NULL);
}

void signals_restore(const struct signals *signals)
{
	sigaction(SIGCHLD, &signals->child, NULL);
	set_mask(signals->mask, NULL);
}

bool signals_next(const struct signals *signals, struct signalfd_siginfo *ret_info)
{
	const ssize_t size = sizeof *ret_info;
	return read(signals->sigterm_fd, ret_info, sizeof *ret_info) == size ||
	       read(signals->fd, ret_info, sizeof *ret_info) == size;
}

void signals_close(struct signals *signals)
{
	if (signals->fd >= 0)
		close(signals->fd);
	if (signals->sigterm_fd >= 0)
		close(signals->sigterm_fd);
	signals->fd = signals->sigterm_fd = -1;
}

bool signals_find_mask(const char *status, const char *field, uint64_t *ret_mask)
{
	const char *line = strstr(status, field);
	if (line == NULL)
		return false;
	const char *p = line + strlen(field);
	while (*p == '\t' || *p == ' ')
		p++;
	uint64_t mask = 0;
	int digits = 0;
	for (; digits < 16; p++, digits++) {
		int value = ascii_hex_value(*p);
		if (value < 0)
			break;
		mask = mask << 4 | (uint64_t)value;
	}
	if (digits == 0)
		return false;
	*ret_mask = mask;
	return true;
}

/* The start of a file as a string. */
static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t length = read(fd, text, size - 1);
	close(fd);
	text[length < 0 ? 0 : length] = '\0';
	return length > 0;
}

/* Which signals the process catches and blocks. false: /proc does not tell. */
static bool read_masks(pid_t pid, uint64_t *ret_caught, uint64_t *ret_blocked)
{
	char path[32];
	char status[STATUS_SIZE];
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	return read_text(path, status, sizeof status) &&
	       signals_find_mask(status, "\nSigCgt:", ret_caught) &&
	       signals_find_mask(status, "\nSigBlk:", ret_blocked);
}

/*
 * Whether the process waits for this signal in sigwait(3) or the like. Meanwhile the kernel takes
 * the signal out of SigBlk (signal.c, do_sigtimedwait), and delivers it also to process 1. Where
 * the shim may not look (another user, file capabilities) the answer is no: most processes simply
 * have no handler.
 */
static bool waits_for(pid_t pid, int number)
{
	char path[32];
	char text[256];
	uint64_t set = 0;
	snprintf(path, sizeof path, "/proc/%d/syscall", (int)pid);
	if (!read_text(path, text, sizeof text))
		return false;
	char *end;
	if (strtol(text, &end, 10) != SYS_rt_sigtimedwait)
		return false;
	struct iovec here = {.iov_base = &set, .iov_len = sizeof set};
	struct iovec there = {.iov_base = (void *)(uintptr_t)strtoull(end, NULL, 16),
	                      .iov_len = sizeof set};
	return process_vm_readv(pid, &here, 1, &there, 1, 0) != (ssize_t)sizeof set ||
	       set & BIT(number);
}

/* Whether the command would have noticed the signal as process 1. If /proc does not tell, it would:
 * a handler that saves work must run. */
static bool noticed(pid_t pid, int number)
{
	for (int probe = 0; probe < BLOCKED_PROBES; probe++) {
		uint64_t caught;
		uint64_t blocked;
		if (probe >
		    0) /* many programs block signals for a moment, around fork(2) for instance */
			nanosleep(&(struct timespec){.tv_nsec = PROBE_WAIT}, NULL);
		if (!read_masks(pid, &caught, &blocked) || caught & BIT(number))
			return true;
		if (!(blocked & BIT(number)))
			return waits_for(pid, number);
	}
	return true;
}

/* Root without CAP_KILL may not signal a process that has changed its user, but it may make the
 * process the owner of a pipe: the kernel then signals the owner that there are bytes to read
 * (fcntl(2), F_SETOWN, F_SETSIG).
 */
static bool send_as_owner(pid_t pid, int number)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	bool sent = fcntl(ends[0], F_SETOWN, pid) == 0 && fcntl(ends[0], F_SETSIG, number) == 0 &&
	            fcntl(ends[0], F_SETFL, O_ASYNC) == 0 && write(ends[1], "", 1) == 1;
	close(ends[0]);
	close(ends[1]);
	return sent;
}

bool signals_send(pid_t pid, int number)
{
	return kill(pid, number) == 0 || (errno == EPERM && send_as_owner(pid, number));
}

bool signals_forward(pid_t pid, const struct signalfd_siginfo *info, bool as_process_1)
{
	int number = (int)info->ssi_signo;
	if (number == SIGCHLD || (number == SIGPIPE && info->ssi_pid == (uint32_t)getpid()))
		return false;
	if (as_process_1 && number != SIGCONT && !noticed(pid, number))
		return false;
	if (info->ssi_code == SI_QUEUE) {
		siginfo_t queued = {.si_signo = number, .si_code = SI_QUEUE};
		queued.si_pid = (pid_t)info->ssi_pid;
		queued.si_uid = info->ssi_uid;
		queued.si_value.sival_ptr = (void *)(uintptr_t)info->ssi_ptr;
		if (syscall(SYS_rt_sigqueueinfo, pid, number, &queued) == 0)
			return true;
	}
	return signals_send(pid, number);
}

bool signal_terminates(int number)
{
	return number == SIGTERM || number == SIGINT || number == SIGQUIT || number == SIGHUP;
}
