/*
 * run: the shim. One thread, one poll loop; see PROTOCOL.md for its states and ../docs/security.md
 * for what it trusts.
 *
 * Invariants:
 *  - Before the command runs any failure of ours ends in executing it directly.
 *  - What the loop needs from the kernel was tried before (probe()), and nothing in the loop that
 *    fails ends it: only the command's own end does.
 *  - The command's end is told once, after its output was carried; exit waits 100 ms for that, or
 *    --wait from the start if no watchdog was there yet, and no longer.
 */
#include "watchdog/subcommands.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/diagnosis/classify.h"
#include "watchdog/cgroup.h"
#include "watchdog/child.h"
#include "lib/base/clock.h"
#include "watchdog/flags.h"
#include "watchdog/watchdog_client.h"
#include "watchdog/pump.h"
#include "watchdog/stderr_log.h"
#include "watchdog/signals.h"

#define GRACE_DEFAULT (30 * SECOND)
#define ACK_WAIT      (100 * MILLISECOND)
#define FINISH_WAIT   (5 * SECOND) /* for a reader of stdout that does not read */
#define RETRY_WAIT    (10 * MILLISECOND)
#define CODE_SIGNALED 128

struct options {
	const char *name;
	int64_t grace;         /* between SIGTERM and SIGKILL when we are told to kill */
	int64_t deadline;      /* 0: none */
	int64_t silence_after; /* 0: none */
	bool kill_on_deadline;
	bool kill_on_silence;
	const char *done_file;
	const char *socket;
	int64_t user; /* of the watchdog; -1: any */
	int64_t wait; /* for a watchdog that was not there yet, from the start on */
};

enum { STREAM_OUT, STREAM_ERR, STREAM_COUNT };

struct run {
	struct options options;
	struct signals signals;
	struct child child;
	struct pump pumps[STREAM_COUNT];
	bool was_open[STDERR_FILENO + 1]; /* as it was handed to us */
	bool one_pipe;    /* stdout and stderr are the same file: one pipe keeps their order */
	bool output_seen; /* it goes through a pipe of ours: silence can be told */
	bool process_1;
	struct output output;
	struct watchdog_client link;

	int64_t start; /* clock_now() */
	int64_t started_at;
	int64_t oom_kills; /* the cgroup's count at the start */

	bool ended;
	int status;
	struct rusage usage;
	enum killed_by_us killed_by_us;
	bool told_deadline;
	int64_t told_silence; /* output.last of the silence that was told; -1: none */
	int64_t kill_at;      /* SIGKILL after a SIGTERM of ours */
	int64_t reap_at;      /* waited for without a signal: at first, or again when it failed */
};

/* ---- Before the command runs ---- */

/* Whether the kernel lets us do what the loop does. A seccomp profile that denies it is found out
 * here, where the command can still be executed directly. */
static bool probe(const struct run *run, struct error *error)
{
	struct signalfd_siginfo info;
	char byte;
	struct pollfd nothing = {.fd = -1};
	if (read(run->signals.fd, &info, sizeof info) >= 0 || errno != EAGAIN)
		return error_set_errno(error, errno, "reading signals");
	if (poll(&nothing, 1, 0) != 0)
		return error_set_errno(error, errno, "poll");
	for (size_t i = 0; i < STREAM_COUNT; i++)
		if (run->pumps[i].in >= 0 &&
		    (read(run->pumps[i].in, &byte, 1) >= 0 || errno != EAGAIN))
			return error_set_errno(error, errno, "reading a pipe");
	/* There may be children: of whoever has become the shim. They count as orphans. */
	if (waitpid(-1, NULL, WNOHANG) < 0 && errno != ECHILD)
		return error_set_errno(error, errno, "waitpid");
	return true;
}

static bool same_file(int a, int b)
{
	struct stat status_a;
	struct stat status_b;
	return fstat(a, &status_a) == 0 && fstat(b, &status_b) == 0 &&
	       status_a.st_dev == status_b.st_dev && status_a.st_ino == status_b.st_ino;
}

/*
 * Keeps our own descriptors out of the places 0 to 2 that were handed to us closed; before anything
 * is opened. Close-on-exec: the command finds them closed.
 */
static bool fill_places(struct run *run, struct error *error)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		run->was_open[fd] = fcntl(fd, F_GETFD) >= 0;
		if (!run->was_open[fd] && open("/dev/null", O_RDWR | O_CLOEXEC) != fd)
			return error_set_errno(error, errno, "/dev/null");
	}
	return true;
}

/* Pipes for what is not a terminal (a program looks different on one) and not closed. */
static bool open_pumps(struct run *run, struct error *error)
{
	static const int streams[STREAM_COUNT] = {STDOUT_FILENO, STDERR_FILENO};
	run->one_pipe = run->was_open[STDOUT_FILENO] && run->was_open[STDERR_FILENO] &&
	                same_file(STDOUT_FILENO, STDERR_FILENO);
	for (size_t i = 0; i < STREAM_COUNT; i++) {
		bool shared = i == STREAM_ERR && run->one_pipe;
		if (shared || !run->was_open[streams[i]] || isatty(streams[i]))
			continue;
		if (!pump_open(&run->pumps[i], streams[i], error))
			return error_wrap(error, "a pipe for the command's output");
		run->output_seen = true;
	}
	return true;
}

static int write_end(const struct run *run, int stream)
{
	if (stream == STREAM_ERR && run->one_pipe)
		return run->pumps[STREAM_OUT].command;
	return run->pumps[stream].command;
}

/* Orphans of the command become children of the shim. Returns whether they did before: execve(2)
 * keeps it, and they are none of a command's business that is executed directly. */
static int take_orphans(const struct run *run)
{
	int before = 0;
	prctl(PR_GET_CHILD_SUBREAPER, &before);
	if (!run->process_1)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	return before;
}

static bool set_up(struct run *run, char **command, struct error *error)
{
	if (!open_pumps(run, error) || !probe(run, error))
		return false;
	run->process_1 = getpid() == 1;
	run->started_at = clock_wall();
	run->start = clock_now();
	run->reap_at = run->start;
	watchdog_client_init(&run->link, run->options.name, run->options.socket, run->options.user,
	                     run->start, &run->output.ring);
	run->output.last = run->start;
	run->oom_kills = cgroup_oom_kills();
	run->link.hello.started_at = run->started_at;
	/* First the watchdog knows of us: whoever kills us from now on is seen. */
	watchdog_client_connect(&run->link, run->start);
	int was_subreaper = take_orphans(run);
	if (!child_start(command, &run->signals, write_end(run, STREAM_OUT),
	                 write_end(run, STREAM_ERR), &run->child, error)) {
		watchdog_client_send(&run->link, message_make(MESSAGE_LEAVING));
		prctl(PR_SET_CHILD_SUBREAPER, was_subreaper);
		return false;
	}
	for (size_t i = 0; i < STREAM_COUNT; i++)
		pump_started(&run->pumps[i]);
	return true;
}

static void tear_down(struct run *run)
{
	for (size_t i = 0; i < STREAM_COUNT; i++)
		pump_close(&run->pumps[i]);
	watchdog_client_close(&run->link);
	if (run->signals.fd >= 0)
		close(run->signals.fd);
}

/* ---- While it runs ---- */

static void tell(struct run *run, enum message_type type, int64_t duration)
{
	struct message message = message_make(type);
	message.started_at = run->started_at;
	message.duration = duration;
	message.killed_by_us = (int32_t)run->killed_by_us;
	watchdog_client_send(&run->link, message);
}

static void reap(struct run *run)
{
	int status;
	struct rusage usage;
	pid_t pid;
	int flags = WNOHANG | (run->child.terminal ? WUNTRACED : 0);
	while ((pid = wait4(-1, &status, flags, &usage)) > 0) {
		if (pid != run->child.pid)
			continue; /* an orphan of the command's */
		if (WIFSTOPPED(status)) {
			child_stopped(&run->child, WSTOPSIG(status));
			continue;
		}
		run->ended = true;
		run->status = status;
		run->usage = usage;
	}
	/* Its signal is used up, and no other comes. */
	bool refused = pid < 0 && errno != ECHILD;
	run->reap_at = refused ? clock_after(clock_now(), RETRY_WAIT) : NEVER;
}

/* One a turn: to forward it may take a while, and who sends many must not keep output waiting. */
static void take_signal(struct run *run)
{
	struct signalfd_siginfo info;
	if (!signals_next(&run->signals, &info))
		return;
	int number = (int)info.ssi_signo;
	if (number == SIGCONT && !run->ended)
		child_continued(&run->child);
	if (signal_terminates(number)) {
		struct message message = message_make(MESSAGE_TERMINATING);
		message.signal = number;
		watchdog_client_send(&run->link, message);
	}
	if (!run->ended)
		signals_forward(run->child.pid, &info, run->process_1);
}

static void end_it(struct run *run, enum killed_by_us why, int64_t now)
{
	if (run->killed_by_us != KILLED_BY_US_NOT)
		return;
	run->killed_by_us = why;
	signals_send(run->child.pid, SIGTERM);
	signals_send(run->child.pid, SIGCONT); /* a stopped one would not notice */
	run->kill_at = clock_after(now, run->options.grace);
}

static int64_t deadline_at(const struct run *run)
{
	if (run->options.deadline <= 0 || run->told_deadline)
		return NEVER;
	return clock_after(run->start, run->options.deadline);
}

static int64_t silence_at(const struct run *run)
{
	/* Who waits for the reader of our output is not silent. */
	if (run->pumps[STREAM_OUT].full || run->pumps[STREAM_ERR].full)
		return NEVER;
	if (run->options.silence_after <= 0 || !run->output_seen ||
	    run->told_silence == run->output.last)
		return NEVER;
	return clock_after(run->output.last, run->options.silence_after);
}

static void look_at_clock(struct run *run, int64_t now)
{
	if (now >= deadline_at(run)) {
		run->told_deadline = true;
		if (run->options.kill_on_deadline)
			end_it(run, KILLED_BY_US_DEADLINE, now);
		tell(run, MESSAGE_DEADLINE, now - run->start);
	}
	if (now >= silence_at(run)) {
		run->told_silence = run->output.last;
		if (run->options.kill_on_silence)
			end_it(run, KILLED_BY_US_SILENCE, now);
		tell(run, MESSAGE_SILENT, now - run->output.last);
	}
	if (now >= run->kill_at) {
		run->kill_at = NEVER;
		signals_send(run->child.pid, SIGKILL);
	}
	watchdog_client_connect(&run->link, now);
}

/* What poll(2) said about the pumps is in polls. */
static bool carry(struct run *run, const struct pollfd polls[STREAM_COUNT], int64_t now)
{
	bool any = false;
	for (size_t i = 0; i < STREAM_COUNT; i++)
		if (polls[i].revents != 0)
			any |= pump_step(&run->pumps[i], &run->output, now);
	return any;
}

static int64_t next_time(const struct run *run)
{
	int64_t next = clock_earlier(deadline_at(run), silence_at(run));
	next = clock_earlier(clock_earlier(next, run->kill_at), run->reap_at);
	return clock_earlier(next, watchdog_client_next(&run->link));
}

/* Everything is non-blocking: where poll(2) fails all of it is tried, now and then. */
static void wait_for(struct pollfd *polls, size_t count, int64_t until)
{
	if (poll(polls, count, clock_timeout(clock_now(), until)) >= 0)
		return;
	nanosleep(&(struct timespec){.tv_nsec = RETRY_WAIT}, NULL);
	for (size_t i = 0; i < count; i++)
		polls[i].revents = POLLIN;
}

/* Until the command has ended. */
static void loop(struct run *run)
{
	while (!run->ended) {
		struct pollfd polls[] = {
		        {.fd = run->signals.fd, .events = POLLIN},
		        watchdog_client_poll(&run->link),
		        pump_poll(&run->pumps[STREAM_OUT]),
		        pump_poll(&run->pumps[STREAM_ERR]),
		};
		wait_for(polls, sizeof polls / sizeof polls[0], next_time(run));
		int64_t now = clock_now();
		if (polls[0].revents != 0)
			take_signal(run);
		if (polls[0].revents != 0 || now >= run->reap_at)
			reap(run);
		if (polls[1].revents != 0)
			watchdog_client_receive(&run->link, now);
		carry(run, polls + 2, now);
		if (!run->ended) /* its process id may be another's by now */
			look_at_clock(run, now);
	}
}

/* ---- When it has ended ---- */

/* Carries what the command left in its pipes; a stuck reader gets 5 s after the last progress. */
static void finish_output(struct run *run)
{
	int64_t until = clock_after(clock_now(), FINISH_WAIT);
	for (size_t i = 0; i < STREAM_COUNT; i++)
		pump_finish(&run->pumps[i]);
	struct pollfd polls[STREAM_COUNT] = {{.revents = POLLIN}, {.revents = POLLIN}};
	for (;;) {
		int64_t now = clock_now();
		if (carry(run, polls, now))
			until = clock_after(now, FINISH_WAIT);
		for (size_t i = 0; i < STREAM_COUNT; i++)
			polls[i] = pump_poll(&run->pumps[i]);
		if ((polls[0].fd < 0 && polls[1].fd < 0) || now >= until)
			return;
		wait_for(polls, STREAM_COUNT, until);
	}
}

static int exit_code(const struct run *run)
{
	if (run->child.exec_errno != 0)
		return child_exec_code(run->child.exec_errno);
	if (WIFSIGNALED(run->status))
		return CODE_SIGNALED + WTERMSIG(run->status);
	return WEXITSTATUS(run->status);
}

static enum ended how_it_ended(const struct run *run)
{
	if (run->child.exec_errno != 0)
		return ENDED_NOT_EXECUTED;
	return WIFSIGNALED(run->status) ? ENDED_SIGNALED : ENDED_EXITED;
}

static int64_t nanoseconds(struct timeval time)
{
	return (int64_t)time.tv_sec * SECOND + (int64_t)time.tv_usec * 1000;
}

static struct message end_message(const struct run *run)
{
	struct message message = message_make(MESSAGE_EXIT);
	int64_t oom_kills = cgroup_oom_kills();
	memcpy(message.name, run->link.hello.name, sizeof message.name);
	message.pid = getpid();
	message.ended = (int32_t)how_it_ended(run);
	message.exit_code = exit_code(run);
	message.signal = WIFSIGNALED(run->status) ? WTERMSIG(run->status) : 0;
	message.killed_by_us = (int32_t)run->killed_by_us;
	message.started_at = run->started_at;
	message.finished_at = clock_wall();
	message.duration = clock_now() - run->start;
	message.max_rss = run->usage.ru_maxrss * 1024;
	message.cpu = nanoseconds(run->usage.ru_utime) + nanoseconds(run->usage.ru_stime);
	bool counted = oom_kills >= 0 && run->oom_kills >= 0;
	message.oom_kills = counted ? oom_kills - run->oom_kills : -1;
	message.total =
	        atomic_load_explicit(&run->output.ring.header->committed, memory_order_relaxed);
	return message;
}

/* In the classic life the watchdog's container starts after the agent's: a command that was quicker
 * waits for it here, unless it is told to terminate. */
static void wait_for_watchdog(struct run *run)
{
	int64_t until = clock_after(run->start, run->options.wait);
	for (;;) {
		int64_t now = clock_now();
		watchdog_client_connect(&run->link, now);
		if (run->link.socket >= 0 || now >= until || run->link.hello.signal != 0)
			return;
		struct pollfd signals = {.fd = run->signals.fd, .events = POLLIN};
		poll(&signals, 1,
		     clock_timeout(now, clock_earlier(until, watchdog_client_next(&run->link))));
		take_signal(run);
	}
}

static void tell_end(struct run *run)
{
	struct message message = end_message(run);
	if (run->link.map == NULL)
		wait_for_watchdog(run);
	watchdog_client_send_exit(&run->link, &message, clock_after(clock_now(), ACK_WAIT));
}

/* Sidecars that poll for the file stop when it is there. One that the command wrote stays. */
static void write_done_file(const struct run *run)
{
	const char *path = run->options.done_file;
	if (path == NULL)
		return;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		if (errno != EEXIST)
			stderr_log_errno(errno, "the done file %.200s", path);
		return;
	}
	char text[16];
	int length = snprintf(text, sizeof text, "%d\n", exit_code(run));
	if (write(fd, text, (size_t)length) != length)
		stderr_log_errno(errno, "the done file %.200s", path);
	close(fd);
}

static void say_not_executed(struct run *run, const char *command)
{
	char text[512];
	int length = snprintf(text, sizeof text, "cannot execute %.200s: %s", command,
	                      strerror(run->child.exec_errno));
	stderr_log("%s", text);
	ring_write(&run->output.ring, text, (size_t)length, clock_now());
	run->ended = true;
}

/* ---- The job ---- */

static char **read_options(struct options *options, int argc, char **argv)
{
	const struct flag flags[] = {
	        {"name", flag_text, &options->name},
	        {"grace", flag_duration, &options->grace},
	        {"deadline", flag_duration, &options->deadline},
	        {"on-deadline", flag_kill, &options->kill_on_deadline},
	        {"silence-after", flag_duration, &options->silence_after},
	        {"on-silence", flag_kill, &options->kill_on_silence},
	        {"done-file", flag_text, &options->done_file},
	        {"watchdog-uid", flag_count, &options->user},
	        {"wait", flag_duration, &options->wait},
	        {"socket", flag_text, &options->socket},
	};
	int rest = subcommand_flags_read(flags, sizeof flags / sizeof flags[0], argc, argv);
	return argv + rest;
}

int subcommand_run(int argc, char **argv)
{
	static struct run
	        run; /* with the pumps' buffers: not on the stack, nor in the file's data */
	run.options.name = "";
	run.options.grace = GRACE_DEFAULT;
	run.options.socket = PROTOCOL_SOCKET;
	run.options.user = -1;
	run.signals.fd = -1;
	run.link.socket = -1;
	run.told_silence = -1;
	run.kill_at = NEVER;
	for (size_t i = 0; i < STREAM_COUNT; i++)
		pump_init(&run.pumps[i]);
	char **command = read_options(&run.options, argc, argv);
	if (command[0] == NULL) {
		stderr_log("run: expected a command after --");
		return 2;
	}

	struct error error = {""};
	bool taken = fill_places(&run, &error) && signals_take(&run.signals, &error);
	if (!taken || !set_up(&run, command, &error)) {
		stderr_log("%s; running %.200s without lastword", error.message, command[0]);
		tear_down(&run);
		return child_execute_directly(command, taken ? &run.signals : NULL);
	}
	if (run.child.exec_errno != 0)
		say_not_executed(&run, command[0]);
	loop(&run);
	child_release_terminal(&run.child);
	finish_output(&run);
	tell_end(&run);
	write_done_file(&run);
	tear_down(&run);
	return exit_code(&run);
}
