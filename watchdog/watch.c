/*
 * watch: the sidecar. One thread, one poll loop; its state and invariants are in watch_state.h. It
 * exits with 0, always.
 */
#include "watchdog/subcommands.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/files.h"
#include "lib/base/clock.h"
#include "watchdog/flags.h"
#include "watchdog/watch_report.h"
#include "watchdog/watch_socket.h"

#define GRACE_DEFAULT         (30 * SECOND)
#define START_TIMEOUT_DEFAULT (60 * SECOND)
#define TAIL_DEFAULT          4096

#define SIGNAL_WAIT SECOND /* between looks for a SIGTERM where there is no signalfd */
#define RETRY_WAIT  (10 * MILLISECOND)
#define DRAIN_WAIT  (300 * MILLISECOND)

static volatile sig_atomic_t terminated;

static void on_terminate(int number)
{
	(void)number;
	terminated = 1;
}

/* ---- The loop ---- */

static int64_t next_time(const struct watch *watch, int64_t now)
{
	int64_t next = sidecar_lifecycle_end_at(&watch->lifecycle);
	if (watch->listener < 0)
		next = clock_earlier(next, watch->bind_at);
	else if (watch->accept_at > now)
		next = clock_earlier(next, watch->accept_at);
	if (watch->signals < 0 && watch->lifecycle.terminated_at < 0)
		next = clock_earlier(next, clock_after(now, SIGNAL_WAIT));
	for (size_t i = 0; i < PENDING_MAX; i++)
		if (watch->pending[i].socket >= 0)
			next = clock_earlier(next, watch->pending[i].close_at);
	return next;
}

static void note_termination(struct watch *watch, int64_t now)
{
	if (!terminated || watch->lifecycle.terminated_at >= 0)
		return;
	watch->lifecycle.terminated_at = now;
	/* The pod is being deleted: whatever ends from now on was asked to. */
	for (size_t i = 0; i < watch->lifecycle.count; i++)
		watch->agents[i].termination_requested = true;
}

enum { POLL_LISTENER, POLL_QUEUE, POLL_SIGNALS, POLL_SHIMS };
#define POLLS_MAX (POLL_SHIMS + CONTAINERS_MAX + PENDING_MAX)

/* Pending connections come behind the shims. Returns how many entries there are. */
static size_t fill_polls(const struct watch *watch, int64_t now, struct pollfd *polls)
{
	size_t count = POLL_SHIMS;
	polls[POLL_LISTENER] = (struct pollfd){.fd = now >= watch->accept_at ? watch->listener : -1,
	                                       .events = POLLIN};
	polls[POLL_QUEUE] = stdout_queue_poll(&watch->queue);
	/* The signal is never read, so the signalfd stays readable. */
	polls[POLL_SIGNALS] =
	        (struct pollfd){.fd = terminated ? -1 : watch->signals, .events = POLLIN};
	for (size_t i = 0; i < watch->lifecycle.count; i++)
		polls[count++] = (struct pollfd){.fd = watch->agents[i].socket, .events = POLLIN};
	for (size_t i = 0; i < PENDING_MAX; i++)
		polls[count++] = (struct pollfd){.fd = watch->pending[i].socket, .events = POLLIN};
	return count;
}

/* Where poll(2) itself fails every socket is tried, after a pause: all of them are non-blocking. */
static void poll_blindly(const struct watch *watch, struct pollfd *polls, size_t count)
{
	struct signalfd_siginfo info;
	nanosleep(&(struct timespec){.tv_nsec = RETRY_WAIT}, NULL);
	for (size_t i = 0; i < count; i++)
		polls[i].revents = POLLIN;
	if (watch->signals < 0 || read(watch->signals, &info, sizeof info) <= 0)
		polls[POLL_SIGNALS].revents = 0;
}

static void run_once(struct watch *watch)
{
	struct pollfd polls[POLLS_MAX];
	int64_t now = clock_now();
	size_t count = fill_polls(watch, now, polls);
	struct pollfd *shims = polls + POLL_SHIMS;
	struct pollfd *strangers = shims + watch->lifecycle.count;
	if (poll(polls, count, clock_timeout(now, next_time(watch, now))) < 0)
		poll_blindly(watch, polls, count);
	now = clock_now();
	if (polls[POLL_SIGNALS].revents != 0)
		terminated = 1;
	note_termination(watch, now);

	if (polls[POLL_QUEUE].revents != 0)
		stdout_queue_write(&watch->queue);
	/* Old shims first: the shim of a restarted container finds its place free. */
	for (size_t i = 0; i < watch->lifecycle.count; i++)
		if (shims[i].revents != 0)
			watch_receive_from_shim(watch, &watch->agents[i]);
	for (size_t i = 0; i < PENDING_MAX; i++) {
		struct pending_connection *pending = &watch->pending[i];
		if (strangers[i].revents != 0 && pending->socket == strangers[i].fd)
			watch_receive_pending(watch, pending);
		if (pending->socket >= 0 && now >= pending->close_at)
			watch_close_pending(pending);
	}
	if (polls[POLL_LISTENER].revents != 0)
		watch_accept(watch, now);
	watch_listen(watch, now);
}

/* Agents that still run are reported as they are: the watchdog will not be there when they end. */
static void finish(struct watch *watch)
{
	for (size_t i = 0; i < watch->lifecycle.count; i++)
		if (watch->agents[i].socket >= 0)
			watch_report_flush(watch, &watch->agents[i]);
	stdout_queue_drain(&watch->queue, clock_after(clock_now(), DRAIN_WAIT));
}

/* ---- The command line ---- */

static bool read_mode(const char *value, void *target, struct error *error)
{
	bool classic = strcmp(value, "classic") == 0;
	if (!classic && strcmp(value, "native") != 0)
		return error_set(error, "expected native or classic");
	*(bool *)target = classic;
	return true;
}

static bool read_policy(const char *value, void *target, struct error *error)
{
	if (!restart_policy_parse(value, target))
		return error_set(error, "expected Always, OnFailure or Never");
	return true;
}

/* NAME, or NAME=POLICY; the pod's policy is filled in when all flags are read. */
static bool read_container(const char *value, void *target, struct error *error)
{
	struct watch *watch = target;
	char *name = (char *)(uintptr_t)value; /* argv may be written to */
	char *equals = strchr(name, '=');
	enum restart_policy policy = RESTART_UNSET;
	if (equals != NULL && !read_policy(equals + 1, &policy, error))
		return false;
	if (equals != NULL)
		*equals = '\0';
	return watch_add_agent(watch, name, policy, error);
}

static bool read_context(const char *value, void *target, struct error *error)
{
	struct report_pod *pod = target;
	if (strchr(value, '=') == NULL)
		return error_set(error, "expected KEY=VALUE");
	if (pod->context_count == REPORT_CONTEXT_MAX)
		return error_set(error, "more than %d", REPORT_CONTEXT_MAX);
	pod->context[pod->context_count++] = value;
	return true;
}

static bool read_pattern(const char *value, void *target, struct error *error)
{
	return redact_patterns_add(target, value, error);
}

static bool read_rule(const char *value, void *target, struct error *error)
{
	return own_rules_add(target, value, error);
}

static void read_flags(struct watch *watch, int argc, char **argv)
{
	enum restart_policy policy = RESTART_ALWAYS;
	const struct flag flags[] = {
	        {"mode", read_mode, &watch->lifecycle.classic},
	        {"restart-policy", read_policy, &policy},
	        {"grace", flag_duration, &watch->lifecycle.grace},
	        {"start-timeout", flag_duration, &watch->lifecycle.start_timeout},
	        {"container", read_container, watch},
	        {"owner", flag_text, &watch->pod.owner},
	        {"context", read_context, &watch->pod},
	        {"redact", read_pattern, &watch->pod.patterns},
	        {"rule", read_rule, &watch->pod.rules},
	        {"ring-size", flag_count, &watch->ring_size},
	        {"tail", flag_count, &watch->tail_size},
	        {"socket", flag_text, &watch->socket_name},
	};
	subcommand_flags_read(flags, sizeof flags / sizeof flags[0], argc, argv);
	for (size_t i = 0; i < watch->lifecycle.count; i++)
		if (watch->lifecycle.containers[i].policy == RESTART_UNSET)
			watch->lifecycle.containers[i].policy = policy;
}

static int64_t between(int64_t least, int64_t value, int64_t most)
{
	return value < least ? least : value > most ? most : value;
}

/* Redacts and cuts a text in its place: argv and the environment may be written to. */
static const char *redact_in_place(const struct watch *watch, const char *text)
{
	if (text == NULL)
		return NULL;
	char *bytes = (char *)(uintptr_t)text;
	size_t length = redact(&watch->pod.patterns, false, bytes, strlen(text), NULL);
	bytes[length < REPORT_TEXT_MAX ? length : REPORT_TEXT_MAX] = '\0';
	return bytes;
}

static void describe_pod(struct watch *watch)
{
	struct report_pod *pod = &watch->pod;
	pod->name = redact_in_place(watch, getenv("LASTWORD_POD_NAME"));
	pod->namespace = redact_in_place(watch, getenv("LASTWORD_POD_NAMESPACE"));
	pod->uid = redact_in_place(watch, getenv("LASTWORD_POD_UID"));
	pod->node = redact_in_place(watch, getenv("LASTWORD_NODE_NAME"));
	pod->owner = redact_in_place(watch, pod->owner);
	for (size_t i = 0; i < pod->context_count; i++)
		pod->context[i] = redact_in_place(watch, pod->context[i]);
	pod->tail_size = (size_t)between(0, watch->tail_size, REPORT_TAIL_MAX);
}

/* Memory that has no pages until they are used; if there is none, spare. */
static char *allocate(size_t *size, char spare[TAIL_MAX])
{
	char *memory =
	        mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory != MAP_FAILED)
		return memory;
	*size = TAIL_MAX;
	return spare;
}

/* Not in the program's static data: that counts against the memory limits of every shim. */
static void allocate_buffers(struct watch *watch)
{
	static char spare[2][TAIL_MAX];
	watch->ring_size = between(RING_SIZE_MIN, watch->ring_size, RING_SIZE_MAX);
	watch->output_size =
	        (size_t)watch->ring_size > TAIL_MAX ? (size_t)watch->ring_size : TAIL_MAX;
	watch->output = allocate(&watch->output_size, spare[0]);
	watch->queue.capacity = QUEUE_SHARED + watch->lifecycle.count * REPORT_LINE_MAX;
	watch->queue.bytes = allocate(&watch->queue.capacity, spare[1]);
}

/*
 * SIGTERM is blocked and polled for as a signalfd. (A signal that is unblocked only while ppoll(2)
 * waits would never be delivered while clients keep the loop busy.) Returns the signalfd; -1: there
 * is none, and the handler runs at any time.
 */
static int take_termination_signals(void)
{
	sigset_t mask;
	struct sigaction action = {.sa_handler = on_terminate};
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -1;
	int fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		sigprocmask(SIG_UNBLOCK, &mask, NULL);
	return fd;
}

int subcommand_watch(int argc, char **argv)
{
	static struct watch watch; /* large: not on the stack, and not in the file's data */
	watch.signals = take_termination_signals();
	/* Other processes of this user can neither trace the watchdog nor read its memory. */
	prctl(PR_SET_DUMPABLE, 0);
	/* Descriptors in messages that nobody has received yet count against the limit, for all
	 * watchdogs of the node together: they run as one user (unix(7), ETOOMANYREFS). */
	files_raise_limit();
	watch.socket_name = PROTOCOL_SOCKET;
	watch.ring_size = RING_SIZE_DEFAULT;
	watch.tail_size = TAIL_DEFAULT;
	watch.lifecycle.grace = GRACE_DEFAULT;
	watch.lifecycle.start_timeout = START_TIMEOUT_DEFAULT;
	watch.lifecycle.terminated_at = -1;
	watch.queue.fd = STDOUT_FILENO;
	watch_socket_init(&watch);
	watch.lifecycle.began_at = clock_now();
	read_flags(&watch, argc, argv);
	describe_pod(&watch);
	allocate_buffers(&watch);

	watch_listen(&watch, clock_now());
	while (sidecar_lifecycle_end_at(&watch.lifecycle) > clock_now())
		run_once(&watch);
	finish(&watch);
	return 0;
}
