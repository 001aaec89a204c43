/*
 * run: the shim. One thread, one poll loop; see PROTOCOL.md for its states and ../docs/security.md
 * for what it trusts.
 *
 * Invariants:
 * - Any failure of the shim before the command runs ends in executing the command directly.
 *  - probe() tries what the loop needs from the kernel before the command runs. No failure in the
 *    loop ends it: only the command's own end does.
 *  - The command's end is reported once, after its output was carried. The shim waits 100 ms for
 *    that, or until --wait after the start if no watchdog was there yet, and no longer.
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
#include "watchdog/step_wrapper.h"
#include "watchdog/signals.h"

#define GRACE_DEFAULT  (30 * SECOND)
#define ACK_WAIT       (100 * MILLISECOND)
#define FINISH_WAIT    (5 * SECOND) /* for a reader of stdout that does not read */
#define RETRY_WAIT     (10 * MILLISECOND)
#define STEP_LOOK_WAIT (5 * SECOND) /* between looks whether a wrapper has started its step */
#define CODE_SIGNALED  128

struct options {
	const char *name;
	int64_t grace;         /* between SIGTERM and SIGKILL when the shim ends the command */
	int64_t deadline;      /* 0: none */
	int64_t silence_after; /* 0: none */
	bool kill_on_deadline;
	bool kill_on_silence;
	const char *done_file;
	const char *socket;
	int64_t user; /* of the watchdog; -1: any */
	int64_t wait; /* from the start, for a watchdog that was not there yet */
};

enum { STREAM_OUT, STREAM_ERR, STREAM_COUNT };

struct run {
	struct options options;
	struct signals signals;
	struct child child;
	struct pump pumps[STREAM_COUNT];
	bool was_open[STDERR_FILENO + 1]; /* of descriptors 0 to 2, when the shim started */
	bool one_pipe;        /* stdout and stderr are the same file: one pipe keeps their order */
	bool output_is_piped; /* through a pipe of the shim: silence can be noticed */
	bool process_1;
	struct output output;
	struct watchdog_client client;

	int64_t start; /* clock_now() */
	int64_t started_at;
	int64_t oom_kills; /* the cgroup's count at the start */

	bool ended;
	int status;
	struct rusage usage;
	enum killed_by_us killed_by_us;
	bool deadline_reported;
	int64_t reported_silence; /* output.last of the silence that was reported; -1: none */
	int64_t step_look_at;     /* the silence begins with the wrapper's step; NEVER: it has */
	int64_t kill_at;          /* when SIGKILL follows the SIGTERM that the shim sent */
	int64_t reap_at; /* when to call wait4(2) without a SIGCHLD: at first, and after a failure
	                  */
};

/* ---- Before the command runs ---- */

/* Whether the kernel lets the shim do what the loop does. A seccomp profile that denies it is
 * noticed here, while the command can still be executed directly. */
static bool probe(const struct run *run, struct error *error)
{
	char byte;
	struct pollfd nothing = {.fd = -1};
	/* Too short for a signal: EINVAL, and one that is pending stays (signalfd(2)). */
	if (read(run->signals.fd, &byte, 1) >= 0 || errno != EINVAL)
		return error_set_errno(error, errno, "reading signals");
	if (poll(&nothing, 1, 0) != 0)
		return error_set_errno(error, errno, "poll");
	for (size_t i = 0; i < STREAM_COUNT; i++)
		if (run->pumps[i].in >= 0 &&
		    (read(run->pumps[i].in, &byte, 1) >= 0 || errno != EAGAIN))
			return error_set_errno(error, errno, "reading a pipe");
	/* There may be children of the process that executed the shim. They count as orphans. */
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
 * Fills those of the descriptors 0 to 2 that were closed when the shim started, before it opens
 * anything else. Close-on-exec: the command finds them closed.
 */
static bool reserve_standard_descriptors(struct run *run, struct error *error)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		run->was_open[fd] = fcntl(fd, F_GETFD) >= 0;
		if (!run->was_open[fd] && open("/dev/null", O_RDWR | O_CLOEXEC) != fd)
			return error_set_errno(error, errno, "/dev/null");
	}
	return true;
}

/* A pipe for each of stdout and stderr that is open and no terminal: programs behave differently on
 * a terminal. */
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
		run->output_is_piped = true;
	}
	return true;
}

static int write_end(const struct run *run, int stream)
{
	if (stream == STREAM_ERR && run->one_pipe)
		return run->pumps[STREAM_OUT].command;
	return run->pumps[stream].command;
}

/* Has orphans of the command become children of the shim. Returns whether the process was a
 * subreaper before: execve(2) keeps it, and a command that is executed directly must not be one. */
static int become_subreaper(const struct run *run)
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
	watchdog_client_init(&run->client, run->options.name, run->options.socket,
	                     run->options.user, run->start, &run->output.ring);
	run->output.last = run->start;
	run->oom_kills = cgroup_oom_kills();
	run->client.hello.started_at = run->started_at;
	/* The shim registers with the watchdog before it starts the command: from now on the
	 * watchdog notices when the shim is killed. */
	watchdog_client_connect(&run->client, run->start);
	int was_subreaper = become_subreaper(run);
	if (!child_start(command, &run->signals, write_end(run, STREAM_OUT),
	                 write_end(run, STREAM_ERR), &run->child, error)) {
		watchdog_client_send(&run->client, message_make(MESSAGE_LEAVING));
		prctl(PR_SET_CHILD_SUBREAPER, was_subreaper);
		return false;
	}
	child_release_stdin(&run->child);
	for (size_t i = 0; i < STREAM_COUNT; i++)
		pump_started(&run->pumps[i]);
	return true;
}

static void tear_down(struct run *run)
{
	for (size_t i = 0; i < STREAM_COUNT; i++)
		pump_close(&run->pumps[i]);
	watchdog_client_close(&run->client);
	signals_close(&run->signals);
}

/* ---- While it runs ---- */

static void send_event(struct run *run, enum message_type type, int64_t duration)
{
	struct message message = message_make(type);
	message.started_at = run->started_at;
	message.duration = duration;
	message.killed_by_us = (int32_t)run->killed_by_us;
	watchdog_client_send(&run->client, message);
}

static void reap(struct run *run)
{
	int status;
	struct rusage usage;
	pid_t pid;
	int flags = WNOHANG | (run->child.terminal ? WUNTRACED : 0);
	while ((pid = wait4(-1, &status, flags, &usage)) > 0) {
		if (pid != run->child.pid)
			continue; /* an orphan of the command */
		if (WIFSTOPPED(status)) {
			child_stopped(&run->child, WSTOPSIG(status));
			continue;
		}
		run->ended = true;
		run->status = status;
		run->usage = usage;
	}
	/* The SIGCHLD has been read, and no other one comes. */
	bool refused = pid < 0 && errno != ECHILD;
	run->reap_at = refused ? clock_after(clock_now(), RETRY_WAIT) : NEVER;
}

/* One signal per turn of the loop: forwarding may take 10 ms, and a flood of signals must not keep
 * the output waiting. */
static void handle_signal(struct run *run)
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
		watchdog_client_send(&run->client, message);
	}
	if (!run->ended)
		signals_forward(run->child.pid, &info, run->process_1);
}

static void terminate_command(struct run *run, enum killed_by_us why, int64_t now)
{
	if (run->killed_by_us != KILLED_BY_US_NOT)
		return;
	run->killed_by_us = why;
	signals_send(run->child.pid, SIGTERM);
	signals_send(run->child.pid, SIGCONT); /* a stopped process does not see SIGTERM */
	run->kill_at = clock_after(now, run->options.grace);
}

static int64_t deadline_at(const struct run *run)
{
	if (run->options.deadline <= 0 || run->deadline_reported)
		return NEVER;
	return clock_after(run->start, run->options.deadline);
}

static int64_t silence_at(const struct run *run)
{
	/* A command that waits for the reader of its output is not silent. */
	if (run->pumps[STREAM_OUT].full || run->pumps[STREAM_ERR].full)
		return NEVER;
	if (run->options.silence_after <= 0 || !run->output_is_piped ||
	    run->step_look_at != NEVER || run->reported_silence == run->output.last)
		return NEVER;
	return clock_after(run->output.last, run->options.silence_after);
}

/* A step that waits for the one before it is not silent (step_wrapper.h). */
static void look_for_step(struct run *run, int64_t now)
{
	if (step_wrapper_has_started(run->child.pid)) {
		run->step_look_at = NEVER;
		run->output.last = now;
		return;
	}
	int64_t wait = clock_earlier(STEP_LOOK_WAIT, run->options.silence_after / 16 + MILLISECOND);
	run->step_look_at = clock_after(now, wait);
}

static void check_timers(struct run *run, int64_t now)
{
	if (now >= deadline_at(run)) {
		run->deadline_reported = true;
		if (run->options.kill_on_deadline)
			terminate_command(run, KILLED_BY_US_DEADLINE, now);
		send_event(run, MESSAGE_DEADLINE, now - run->start);
	}
	if (now >= run->step_look_at)
		look_for_step(run, now);
	if (now >= silence_at(run)) {
		run->reported_silence = run->output.last;
		if (run->options.kill_on_silence)
			terminate_command(run, KILLED_BY_US_SILENCE, now);
		send_event(run, MESSAGE_SILENT, now - run->output.last);
	}
	if (now >= run->kill_at) {
		run->kill_at = NEVER;
		signals_send(run->child.pid, SIGKILL);
	}
	watchdog_client_connect(&run->client, now);
}

/* polls: what poll(2) returned for the pumps. Returns whether any byte was carried. */
static bool pump_output(struct run *run, const struct pollfd polls[STREAM_COUNT], int64_t now)
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
	next = clock_earlier(next, run->step_look_at);
	return clock_earlier(next, watchdog_client_next(&run->client));
}

/* Where poll(2) fails every descriptor is tried, after a pause: all of them are non-blocking. */
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
		        watchdog_client_poll(&run->client),
		        pump_poll(&run->pumps[STREAM_OUT]),
		        pump_poll(&run->pumps[STREAM_ERR]),
		};
		wait_for(polls, sizeof polls / sizeof polls[0], next_time(run));
		int64_t now = clock_now();
		if (polls[0].revents != 0)
			handle_signal(run);
		if (polls[0].revents != 0 || now >= run->reap_at)
			reap(run);
		if (polls[1].revents != 0)
			watchdog_client_receive(&run->client, now);
		pump_output(run, polls + 2, now);
		if (!run->ended) /* after its end the process id may belong to another process */
			check_timers(run, now);
	}
}

/* ---- When it has ended ---- */

/* Carries what the command left in its pipes. A reader that is stuck has 5 s since the last byte.
 */
static void finish_output(struct run *run)
{
	int64_t until = clock_after(clock_now(), FINISH_WAIT);
	for (size_t i = 0; i < STREAM_COUNT; i++)
		pump_finish(&run->pumps[i]);
	struct pollfd polls[STREAM_COUNT] = {{.revents = POLLIN}, {.revents = POLLIN}};
	for (;;) {
		int64_t now = clock_now();
		if (pump_output(run, polls, now))
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

static enum ended how_command_ended(const struct run *run)
{
	if (run->child.exec_errno != 0)
		return ENDED_NOT_EXECUTED;
	return WIFSIGNALED(run->status) ? ENDED_SIGNALED : ENDED_EXITED;
}

static int64_t nanoseconds(struct timeval time)
{
	return (int64_t)time.tv_sec * SECOND + (int64_t)time.tv_usec * 1000;
}

static struct message exit_message(const struct run *run)
{
	struct message message = message_make(MESSAGE_EXIT);
	int64_t oom_kills = cgroup_oom_kills();
	memcpy(message.name, run->client.hello.name, sizeof message.name);
	message.pid = getpid();
	message.ended = (int32_t)how_command_ended(run);
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

/* A classic sidecar starts after the agent's container: the shim of a command that ends sooner
 * waits for it here, unless it is asked to terminate. */
static void wait_for_watchdog(struct run *run)
{
	int64_t until = clock_after(run->start, run->options.wait);
	for (;;) {
		int64_t now = clock_now();
		watchdog_client_connect(&run->client, now);
		if (run->client.socket >= 0 || now >= until || run->client.hello.signal != 0)
			return;
		struct pollfd signals = {.fd = run->signals.fd, .events = POLLIN};
		poll(&signals, 1,
		     clock_timeout(now, clock_earlier(until, watchdog_client_next(&run->client))));
		handle_signal(run);
	}
}

static void send_exit(struct run *run)
{
	struct message message = exit_message(run);
	if (run->client.map == NULL)
		wait_for_watchdog(run);
	watchdog_client_send_exit(&run->client, &message, clock_after(clock_now(), ACK_WAIT));
}

/* Other sidecars wait for this file and stop when it is there. A file that the command itself has
 * written stays as it is. */
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

static void report_not_executed(struct run *run, const char *command)
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
	static struct run run; /* static: it holds the pumps' buffers */
	run.options.name = "";
	run.options.grace = GRACE_DEFAULT;
	run.options.socket = PROTOCOL_SOCKET;
	run.options.user = -1;
	run.signals.fd = run.signals.sigterm_fd = -1;
	run.client.socket = -1;
	run.reported_silence = -1;
	run.kill_at = NEVER;
	run.step_look_at = NEVER;
	for (size_t i = 0; i < STREAM_COUNT; i++)
		pump_init(&run.pumps[i]);
	char **command = read_options(&run.options, argc, argv);
	if (command[0] == NULL) {
		stderr_log("run: expected a command after --");
		return 2;
	}

	struct error error = {""};
	bool taken =
	        reserve_standard_descriptors(&run, &error) && signals_take(&run.signals, &error);
	if (!taken || !set_up(&run, command, &error)) {
		stderr_log("%s; running %.200s without lastword", error.message, command[0]);
		tear_down(&run);
		return child_execute_directly(command, taken ? &run.signals : NULL);
	}
	if (run.options.silence_after > 0 && step_wrapper_is(command))
		run.step_look_at = run.start;
	if (run.child.exec_errno != 0)
		report_not_executed(&run, command[0]);
	loop(&run);
	child_release_terminal(&run.child);
	finish_output(&run);
	send_exit(&run);
	write_done_file(&run);
	tear_down(&run);
	return exit_code(&run);
}
