/*
 * flush: the preStop hook. Runs the wrapped hook, sends the agent its flush signal, then has the
 * watchdog print a report.
 *
 * With --ping it is the command of a probe instead: it only asks whether the watchdog answers.
 *
 * The part after the wrapped hook takes at most min(1 s, grace/10), and no time if no watchdog
 * listens: the deletion of the pod waits for it.
 */
#include "watchdog/subcommands.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "watchdog/child.h"
#include "lib/base/clock.h"
#include "watchdog/flags.h"
#include "watchdog/protocol.h"
#include "watchdog/stderr_log.h"

#define GRACE_DEFAULT (30 * SECOND)
#define CODE_SIGNALED 128

/* Less than the timeout of a probe, which is 1 s by default. */
#define PING_WAIT (500 * MILLISECOND)

/* How often waitpid(2) is tried when it fails, 10 ms apart. */
#define WAIT_TRIES 100

struct options {
	const char *name;
	const char *socket;
	int64_t grace;
	int signal; /* 0: none */
	bool ping;
};

/* The hook's exit status, as a shell would tell it. */
static int run_hook(char **hook)
{
	int status = 0;
	pid_t pid = fork();
	if (pid <= 0) /* also if fork(2) failed: the hook matters more than the report */
		_exit(child_execute_directly(hook, NULL));
	for (int tries = 0; waitpid(pid, &status, 0) < 0 && tries < WAIT_TRIES; tries++)
		nanosleep(&(struct timespec){.tv_nsec = 10 * MILLISECOND}, NULL);
	return WIFSIGNALED(status) ? CODE_SIGNALED + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- The shim's process ---- */

static bool same_program(const char *pid)
{
	char path[64];
	struct stat ours;
	struct stat theirs;
	snprintf(path, sizeof path, "/proc/%.20s/exe", pid);
	return stat("/proc/self/exe", &ours) == 0 && stat(path, &theirs) == 0 &&
	       ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

/* The process was started as PROGRAM run --name NAME … */
static bool is_shim_of(const char *pid, const char *name)
{
	char path[64];
	char words[512];
	snprintf(path, sizeof path, "/proc/%.20s/cmdline", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t length = read(fd, words, sizeof words - 1);
	close(fd);
	if (length <= 0)
		return false;
	words[length] = '\0';
	const char *wanted[] = {"run", "--name", name};
	const char *word = words + strlen(words) + 1;
	for (size_t i = 0; i < 3; i++) {
		if (word > words + length || strcmp(word, wanted[i]) != 0)
			return false;
		word += strlen(word) + 1;
	}
	return true;
}

/*
 * Sends the signal to the shim, which forwards it if the command would notice it. In a pod that
 * shares its process namespace the shim is not process 1, and another container may have started a
 * process that looks like it: all that match are signalled.
 */
static void send_signal(const struct options *options)
{
	bool sent = false;
	DIR *processes = opendir("/proc");
	for (struct dirent *entry; processes != NULL && (entry = readdir(processes)) != NULL;) {
		long number = strtol(entry->d_name, NULL, 10);
		if (number <= 0 || !is_shim_of(entry->d_name, options->name) ||
		    !same_program(entry->d_name))
			continue;
		if (kill((pid_t)number, options->signal) < 0)
			stderr_log_errno(errno, "flush: signal %d to process %ld", options->signal,
			                 number);
		else
			sent = true;
	}
	if (processes != NULL)
		closedir(processes);
	if (!sent)
		stderr_log("flush: found no shim of container %s, no signal was sent",
		           options->name);
}

/* ---- The watchdog ---- */

static int connect_to(const char *name)
{
	struct sockaddr_un address;
	socklen_t length;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	protocol_address(name, &address, &length);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, length) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/*
 * Requests a report about a container. Returns when it is printed (the watchdog then closes the
 * connection; one of version 1 sends ACK before), or `until` is reached: false.
 */
static bool request_report(int fd, const char *name, int64_t until)
{
	struct message flush = message_make(MESSAGE_FLUSH);
	memcpy(flush.name, name, strnlen(name, CONTAINER_NAME_MAX));
	if (!message_send(fd, &flush, NULL, 0, -1))
		return false;
	for (int64_t now = clock_now(); now < until; now = clock_now()) {
		struct pollfd readable = {.fd = fd, .events = POLLIN};
		struct message message;
		if (poll(&readable, 1, clock_timeout(now, until)) > 0 &&
		    message_receive(fd, &message, NULL, 0, NULL, NULL) != RECEIVED_NOTHING)
			return true;
	}
	return false;
}

/* Whether a watchdog listens and answers: it has no container without a name, and prints nothing.
 */
static bool ping(const char *socket)
{
	int fd = connect_to(socket);
	if (fd < 0) {
		stderr_log("flush: no watchdog listens on the socket \"%s\"", socket);
		return false;
	}
	bool responded = request_report(fd, "", clock_after(clock_now(), PING_WAIT));
	if (!responded)
		stderr_log("flush: the watchdog on the socket \"%s\" does not answer", socket);
	close(fd);
	return responded;
}

/* The agent has half of the time to print what it does on its signal. */
static void report(const struct options *options)
{
	int64_t bound = clock_earlier(SECOND, options->grace / 10);
	int64_t start = clock_now();
	int fd = connect_to(options->socket);
	if (options->signal != 0)
		send_signal(options);
	if (fd < 0)
		return;
	if (options->signal != 0)
		poll(NULL, 0, clock_timeout(clock_now(), clock_after(start, bound / 2)));
	request_report(fd, options->name, clock_after(start, bound));
	close(fd);
}

int subcommand_flush(int argc, char **argv)
{
	struct options options = {.name = "", .socket = PROTOCOL_SOCKET, .grace = GRACE_DEFAULT};
	const struct flag flags[] = {
	        {"name", flag_text, &options.name},       {"grace", flag_duration, &options.grace},
	        {"signal", flag_signal, &options.signal}, {"socket", flag_text, &options.socket},
	        {"ping", flag_present, &options.ping},
	};
	char **hook =
	        argv + subcommand_flags_read(flags, sizeof flags / sizeof flags[0], argc, argv);
	if (options.ping)
		return ping(options.socket) ? 0 : 1;
	int status = hook[0] != NULL ? run_hook(hook) : 0;
	report(&options);
	return status;
}
