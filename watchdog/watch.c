/*
 * watch: the sidecar. One thread, one poll loop; PROTOCOL.md has the states, life.h when it ends.
 *
 * Invariants:
 *  - Whatever a client sends or does not send, no other client waits for it: nothing blocks, and
 *    each gets a few messages a turn.
 *  - One live shim for a name; its end gives exactly one end line, with EXIT or without.
 *  - A line is in the outbox, and written if stdout takes it, before it is acknowledged.
 *  - Memory is bounded by the containers named on the command line.
 *  - It exits with 0, always.
 */
#include "watchdog/subcommands.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "watchdog/flags.h"
#include "watchdog/sidecar_lifecycle.h"
#include "watchdog/mapped_ring.h"
#include "watchdog/stdout_queue.h"
#include "watchdog/protocol.h"
#include "watchdog/report.h"
#include "watchdog/stderr_log.h"

#define GRACE_DEFAULT         (30 * SECOND)
#define START_TIMEOUT_DEFAULT (60 * SECOND)
#define RING_SIZE_DEFAULT     INT64_C(65536)
#define RING_SIZE_MIN         4096
#define TAIL_DEFAULT          4096

#define CLIENTS_MAX     8            /* connections that have not said who they are */
#define CLIENT_WAIT     (2 * SECOND) /* for it to say so */
#define BIND_WAIT       SECOND       /* before the socket's name, or accept(2), is tried again */
#define LOOK_WAIT       SECOND       /* between looks for a SIGTERM that wakes nobody */
#define RETRY_WAIT      (10 * MILLISECOND)
#define DRAIN_WAIT      (300 * MILLISECOND)
#define MESSAGES_A_TURN 8

/*
 * What one container may have: so many at once, then one in so long. Kubernetes restarts an agent
 * no faster; somebody who forges hellos and events does.
 *
 * Lines: ends are counted by themselves, and have half of the outbox to themselves: no flood of
 * other events can keep an end from being told. Rings: a memfd that somebody keeps, or pages of it
 * in a pipe, stay charged to us.
 */
#define LINES_AT_ONCE 300
#define LINE_EACH     SECOND
#define RINGS_AT_ONCE 16
#define RING_EACH     (300 * SECOND)
#define ENDS_SPARE    (STDOUT_QUEUE_SIZE / 2)
enum { RATE_ENDS, RATE_EVENTS, RATE_RINGS, RATE_COUNT };
static const struct {
	int64_t at_once;
	int64_t each;
} rates[RATE_COUNT] = {
        [RATE_ENDS] = {LINES_AT_ONCE, LINE_EACH},
        [RATE_EVENTS] = {LINES_AT_ONCE, LINE_EACH},
        [RATE_RINGS] = {RINGS_AT_ONCE, RING_EACH},
};

struct slot {
	const char *name;
	int socket;             /* of the live shim; -1: none */
	uint64_t shim_instance; /* of shims */
	struct message hello;
	int64_t greeted_at;
	int64_t uid;
	bool told_to_terminate;
	struct mapped_ring memory;      /* the live shim's ring */
	int64_t paid_until[RATE_COUNT]; /* each one costs its time */
	uint64_t reports_lost;
};

struct client {
	int socket; /* -1: free */
	int64_t drop_at;
};

struct watch {
	const char *socket_name;
	int64_t ring_size;
	int64_t tail_size;
	struct report_pod pod;
	struct sidecar_lifecycle life;     /* containers[i] goes with slots[i] */
	struct slot slots[CONTAINERS_MAX]; /* life.count of them */

	int listener; /* -1: the name is taken, tried again at bind_at */
	int64_t bind_at;
	bool bind_told;
	int64_t accept_at; /* not before, after it failed */
	int signals;       /* signalfd for SIGTERM; -1: there is none, the handler says it */
	struct client clients[CLIENTS_MAX];
	struct stdout_queue outbox;

	char *output; /* where a ring is copied to and redacted */
	size_t output_size;
	char received[TAIL_MAX];
	char line[REPORT_LINE_MAX + 1];
};

static volatile sig_atomic_t terminated;

static void on_terminate(int number)
{
	(void)number;
	terminated = 1;
}

/* ---- Lines ---- */

/* Whether the container may have one more. */
static bool may_have(struct slot *slot, int rate, int64_t now)
{
	int64_t *paid_until = &slot->paid_until[rate];
	if (*paid_until > clock_after(now, (rates[rate].at_once - 1) * rates[rate].each))
		return false;
	*paid_until = clock_after(*paid_until > now ? *paid_until : now, rates[rate].each);
	return true;
}

/* What is known of the live shim, or of the last one. */
static struct report report_about(const struct slot *slot, enum report_event event)
{
	return (struct report){
	        .event = event,
	        .container = slot->name,
	        .shim_instance = slot->shim_instance,
	        .observation = {.told_to_terminate = slot->told_to_terminate},
	        .time = clock_wall(),
	        .started_at = slot->hello.started_at,
	        .duration = slot->socket < 0 ? -1
	                                     : clock_after(clock_now() - slot->greeted_at,
	                                                   slot->hello.duration),
	        .silence = -1,
	        .max_rss = -1,
	        .cpu = -1,
	        .oom_kills = -1,
	        .shim_uid = slot->uid,
	        .reports_lost = slot->reports_lost,
	};
}

static void print(struct watch *watch, struct slot *slot, struct report *report)
{
	struct buffer line;
	if (!may_have(slot, report->event == EVENT_END ? RATE_ENDS : RATE_EVENTS, clock_now())) {
		slot->reports_lost++;
		return;
	}
	report->output = watch->output;
	if (slot->memory.map != NULL)
		report->output_length =
		        ring_read(&slot->memory.ring, watch->output, watch->output_size,
		                  &report->total, &report->output_cut);
	buffer_init_fixed(&line, watch->line, sizeof watch->line);
	report_write(&watch->pod, report, &line);
	size_t spare = report->event == EVENT_END ? 0 : ENDS_SPARE;
	if (!buffer_ok(&line) || !stdout_queue_add(&watch->outbox, line.data, line.length, spare))
		slot->reports_lost++;
	stdout_queue_write(&watch->outbox);
	/* The copy's pages are given back. */
	madvise(watch->output, watch->output_size, MADV_DONTNEED);
}

/* ---- Shims ---- */

static struct lifecycle_container *life_of(struct watch *watch, const struct slot *slot)
{
	return &watch->life.containers[slot - watch->slots];
}

static void set_free(struct watch *watch, struct slot *slot, enum container_state state)
{
	close(slot->socket);
	slot->socket = -1;
	mapped_ring_free(&slot->memory);
	life_of(watch, slot)->state = state;
}

static void set_ended(struct watch *watch, struct slot *slot, bool failed)
{
	life_of(watch, slot)->failed = failed;
	set_free(watch, slot, CONTAINER_TERMINATED);
}

/* The connection closed, or broke, without an EXIT: the shim was killed from outside. */
static void vanished(struct watch *watch, struct slot *slot)
{
	struct report report = report_about(slot, EVENT_END);
	report.observation.ended = ENDED_VANISHED;
	report.finished_at = report.time;
	print(watch, slot, &report);
	set_ended(watch, slot, true);
}

static int64_t known(int64_t value)
{
	return value < 0 ? -1 : value;
}

/* What comes in is untrusted: each value becomes one that exists. */
static struct report report_of_exit(const struct slot *slot, const struct message *exit)
{
	struct report report = report_about(slot, EVENT_END);
	struct observation *o = &report.observation;
	o->ended = exit->ended == ENDED_SIGNALED || exit->ended == ENDED_NOT_EXECUTED
	                   ? (enum ended)exit->ended
	                   : ENDED_EXITED;
	o->exit_code = exit->exit_code & 0xff;
	o->signal = o->ended == ENDED_SIGNALED && exit->signal > 0 && exit->signal <= 64
	                    ? exit->signal
	                    : 0;
	o->killed_by_us = exit->killed_by_us == KILLED_BY_US_DEADLINE ||
	                                  exit->killed_by_us == KILLED_BY_US_SILENCE
	                          ? (enum killed_by_us)exit->killed_by_us
	                          : KILLED_BY_US_NOT;
	o->oom_kills = exit->oom_kills > 0 ? (uint64_t)exit->oom_kills : 0;
	report.finished_at = exit->finished_at;
	report.duration = known(exit->duration);
	report.max_rss = known(exit->max_rss);
	report.cpu = known(exit->cpu);
	report.oom_kills = known(exit->oom_kills);
	report.total = exit->total;
	return report;
}

static void ended(struct watch *watch, struct slot *slot, const struct message *exit)
{
	struct report report = report_of_exit(slot, exit);
	struct message ack = message_make(MESSAGE_ACK);
	print(watch, slot, &report);
	message_send(slot->socket, &ack, NULL, 0, -1);
	set_ended(watch, slot, report.observation.exit_code != 0);
}

/* Output of a shim that had no ring of ours. */
static void take_tail(struct watch *watch, struct slot *slot, const struct message *tail,
                      size_t length)
{
	if (slot->memory.map == NULL && !mapped_ring_create_private(TAIL_MAX, &slot->memory, NULL))
		return;
	ring_put(&slot->memory.ring, watch->received, length,
	         tail->total > length ? tail->total : length);
}

static void event(struct watch *watch, struct slot *slot, const struct message *message)
{
	bool silent = message->type == MESSAGE_SILENT;
	struct report report = report_about(slot, silent ? EVENT_SILENT_AGENT : EVENT_DEADLINE);
	if (silent)
		report.silence = known(message->duration);
	else
		report.duration = known(message->duration);
	print(watch, slot, &report);
}

static void take_message(struct watch *watch, struct slot *slot, const struct message *message,
                         size_t extra)
{
	switch ((enum message_type)message->type) {
	case MESSAGE_TERMINATING:
		slot->told_to_terminate = true;
		return;
	case MESSAGE_SILENT:
	case MESSAGE_DEADLINE:
		event(watch, slot, message);
		return;
	case MESSAGE_TAIL:
		take_tail(watch, slot, message, extra);
		return;
	case MESSAGE_EXIT:
		ended(watch, slot, message);
		return;
	case MESSAGE_LEAVING:
		set_free(watch, slot, CONTAINER_WAITING);
		return;
	case MESSAGE_HELLO:
	case MESSAGE_WELCOME:
	case MESSAGE_REFUSED:
	case MESSAGE_ACK:
	case MESSAGE_FLUSH:
		vanished(watch, slot); /* no shim of ours says that here */
		return;
	}
}

static void hear_shim(struct watch *watch, struct slot *slot)
{
	for (int i = 0; i < MESSAGES_A_TURN && slot->socket >= 0; i++) {
		struct message message;
		size_t extra = 0;
		switch (message_receive(slot->socket, &message, watch->received, TAIL_MAX, &extra,
		                        NULL)) {
		case RECEIVED_NOTHING:
			return;
		case RECEIVED_END:
		case RECEIVED_GARBAGE:
			vanished(watch, slot);
			return;
		case RECEIVED_MESSAGE:
			take_message(watch, slot, &message, extra);
			break;
		}
	}
}

/* ---- Clients: whoever has connected and not said who it is ---- */

static void drop(struct client *client)
{
	if (client->socket >= 0)
		close(client->socket);
	client->socket = -1;
}

static void answer(int socket, enum message_type type)
{
	struct message message = message_make(type);
	message_send(socket, &message, NULL, 0, -1);
}

static struct slot *find_slot(struct watch *watch, const char *name)
{
	for (size_t i = 0; i < watch->life.count; i++)
		if (strcmp(watch->slots[i].name, name) == 0)
			return &watch->slots[i];
	return NULL;
}

static int64_t peer_uid(int socket)
{
	struct ucred peer;
	socklen_t length = sizeof peer;
	return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 ? (int64_t)peer.uid
	                                                                        : -1;
}

/* A shim may have ended, and its EXIT lie in the socket, before it is welcomed: whether it still
 * reads does not matter here. */
static void welcome(struct watch *watch, struct slot *slot)
{
	struct message message = message_make(MESSAGE_WELCOME);
	struct error error = {""};
	int fd = -1;
	if (may_have(slot, RATE_RINGS, slot->greeted_at) &&
	    !mapped_ring_create_shared((size_t)watch->ring_size, &slot->memory, &fd, &error))
		stderr_log("%s: %s keeps its last output itself", error.message, slot->name);
	message_send(slot->socket, &message, NULL, 0, fd);
	if (fd >= 0)
		close(fd);
}

static void greet(struct watch *watch, struct client *client, const struct message *hello)
{
	struct slot *slot = find_slot(watch, hello->name);
	if (slot != NULL && slot->socket >= 0)
		hear_shim(watch, slot); /* it may be gone */
	if (slot == NULL || slot->socket >= 0) {
		answer(client->socket, MESSAGE_REFUSED);
		drop(client);
		return;
	}
	slot->socket = client->socket;
	client->socket = -1;
	slot->shim_instance++;
	slot->hello = *hello;
	slot->hello.duration = hello->duration < 0 ? 0 : hello->duration;
	slot->greeted_at = clock_now();
	slot->uid = peer_uid(slot->socket);
	slot->told_to_terminate = hello->signal != 0 || terminated;
	life_of(watch, slot)->state = CONTAINER_RUNNING;
	welcome(watch, slot);
	hear_shim(watch, slot);
}

static void flush(struct watch *watch, struct client *client, const struct message *message)
{
	struct slot *slot = find_slot(watch, message->name);
	if (slot != NULL && slot->socket >= 0)
		hear_shim(watch, slot);
	if (slot != NULL && slot->socket >= 0) {
		/* The hook runs when the container is about to be stopped, and as its user. */
		if (peer_uid(client->socket) == slot->uid)
			slot->told_to_terminate = true;
		struct report report = report_about(slot, EVENT_FLUSH);
		print(watch, slot, &report);
	}
	answer(client->socket, MESSAGE_ACK);
	drop(client);
}

static void hear_client(struct watch *watch, struct client *client)
{
	struct message message;
	enum received received = message_receive(client->socket, &message, NULL, 0, NULL, NULL);
	if (received == RECEIVED_NOTHING)
		return;
	if (received == RECEIVED_MESSAGE && message.type == MESSAGE_HELLO)
		greet(watch, client, &message);
	else if (received == RECEIVED_MESSAGE && message.type == MESSAGE_FLUSH)
		flush(watch, client, &message);
	else
		drop(client);
}

/* ---- The socket ---- */

static bool listen_on(struct watch *watch)
{
	struct sockaddr_un address;
	socklen_t length;
	watch->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	protocol_address(watch->socket_name, &address, &length);
	if (watch->listener >= 0 &&
	    bind(watch->listener, (struct sockaddr *)&address, length) == 0 &&
	    listen(watch->listener, SOMAXCONN) == 0)
		return true;
	int number = errno;
	if (watch->listener >= 0)
		close(watch->listener);
	watch->listener = -1;
	errno = number;
	return false;
}

static void try_to_listen(struct watch *watch, int64_t now)
{
	if (watch->listener >= 0 || now < watch->bind_at)
		return;
	if (listen_on(watch)) {
		if (watch->bind_told)
			stderr_log("the socket is there now");
		return;
	}
	if (!watch->bind_told)
		stderr_log_errno(errno,
		                 "the socket \"%s\" of this pod; trying on, agents run without me",
		                 watch->socket_name);
	watch->bind_told = true;
	watch->bind_at = clock_after(now, BIND_WAIT);
}

/* A free place, or the one that has been silent for longest. */
static struct client *place(struct watch *watch)
{
	struct client *oldest = &watch->clients[0];
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (watch->clients[i].socket < 0)
			return &watch->clients[i];
		if (watch->clients[i].drop_at < oldest->drop_at)
			oldest = &watch->clients[i];
	}
	drop(oldest);
	return oldest;
}

static void accept_clients(struct watch *watch, int64_t now)
{
	for (int i = 0; i < CLIENTS_MAX; i++) {
		int socket = accept4(watch->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (socket < 0) {
			/* Who waits there stays, and would have us called at once again. */
			if (errno != EAGAIN)
				watch->accept_at = clock_after(now, BIND_WAIT);
			return;
		}
		struct client *client = place(watch);
		*client =
		        (struct client){.socket = socket, .drop_at = clock_after(now, CLIENT_WAIT)};
		hear_client(watch, client); /* mostly it has spoken */
	}
}

/* ---- The loop ---- */

static int64_t next_time(const struct watch *watch, int64_t now)
{
	int64_t next = sidecar_lifecycle_end_at(&watch->life);
	if (watch->listener < 0)
		next = clock_earlier(next, watch->bind_at);
	else if (watch->accept_at > now)
		next = clock_earlier(next, watch->accept_at);
	if (watch->signals < 0 && watch->life.terminated_at < 0)
		next = clock_earlier(next, clock_after(now, LOOK_WAIT));
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (watch->clients[i].socket >= 0)
			next = clock_earlier(next, watch->clients[i].drop_at);
	return next;
}

static void note_termination(struct watch *watch, int64_t now)
{
	if (!terminated || watch->life.terminated_at >= 0)
		return;
	watch->life.terminated_at = now;
	/* The pod is going: whatever ends now was told to. */
	for (size_t i = 0; i < watch->life.count; i++)
		watch->slots[i].told_to_terminate = true;
}

enum { POLL_LISTENER, POLL_OUTBOX, POLL_SIGNALS, POLL_SHIMS };
#define POLLS_MAX (POLL_SHIMS + CONTAINERS_MAX + CLIENTS_MAX)

/* Fills in what to wait for; the clients come behind the shims. Returns how many. */
static size_t what_to_poll(const struct watch *watch, int64_t now, struct pollfd *polls)
{
	size_t count = POLL_SHIMS;
	polls[POLL_LISTENER] = (struct pollfd){.fd = now >= watch->accept_at ? watch->listener : -1,
	                                       .events = POLLIN};
	polls[POLL_OUTBOX] = stdout_queue_poll(&watch->outbox);
	/* It stays readable: nobody takes the signal. */
	polls[POLL_SIGNALS] =
	        (struct pollfd){.fd = terminated ? -1 : watch->signals, .events = POLLIN};
	for (size_t i = 0; i < watch->life.count; i++)
		polls[count++] = (struct pollfd){.fd = watch->slots[i].socket, .events = POLLIN};
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		polls[count++] = (struct pollfd){.fd = watch->clients[i].socket, .events = POLLIN};
	return count;
}

/* Where poll(2) itself fails: everything is non-blocking, so all of it is tried, now and then. */
static void poll_blindly(const struct watch *watch, struct pollfd *polls, size_t count)
{
	struct signalfd_siginfo info;
	nanosleep(&(struct timespec){.tv_nsec = RETRY_WAIT}, NULL);
	for (size_t i = 0; i < count; i++)
		polls[i].revents = POLLIN;
	if (watch->signals < 0 || read(watch->signals, &info, sizeof info) <= 0)
		polls[POLL_SIGNALS].revents = 0;
}

static void turn(struct watch *watch)
{
	struct pollfd polls[POLLS_MAX];
	int64_t now = clock_now();
	size_t count = what_to_poll(watch, now, polls);
	struct pollfd *shims = polls + POLL_SHIMS;
	struct pollfd *clients = shims + watch->life.count;
	if (poll(polls, count, clock_timeout(now, next_time(watch, now))) < 0)
		poll_blindly(watch, polls, count);
	now = clock_now();
	if (polls[POLL_SIGNALS].revents != 0)
		terminated = 1;
	note_termination(watch, now);

	if (polls[POLL_OUTBOX].revents != 0)
		stdout_queue_write(&watch->outbox);
	/* Ends before beginnings: a restarted agent's shim finds its place free. */
	for (size_t i = 0; i < watch->life.count; i++)
		if (shims[i].revents != 0)
			hear_shim(watch, &watch->slots[i]);
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &watch->clients[i];
		if (clients[i].revents != 0 && client->socket == clients[i].fd)
			hear_client(watch, client);
		if (client->socket >= 0 && now >= client->drop_at)
			drop(client);
	}
	if (polls[POLL_LISTENER].revents != 0)
		accept_clients(watch, now);
	try_to_listen(watch, now);
}

/* What is still open is told as it is now: afterwards nobody is there to do it. */
static void finish(struct watch *watch)
{
	for (size_t i = 0; i < watch->life.count; i++) {
		struct slot *slot = &watch->slots[i];
		if (slot->socket < 0)
			continue;
		struct report report = report_about(slot, EVENT_FLUSH);
		print(watch, slot, &report);
	}
	stdout_queue_drain(&watch->outbox, clock_after(clock_now(), DRAIN_WAIT));
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

static struct lifecycle_container *find_container(struct watch *watch, const char *name)
{
	struct slot *slot = find_slot(watch, name);
	return slot == NULL ? NULL : life_of(watch, slot);
}

/* NAME, or NAME=POLICY; the pod's policy is put in later. */
static bool read_container(const char *value, void *target, struct error *error)
{
	struct watch *watch = target;
	char *name = (char *)(uintptr_t)value; /* argv is ours to write to */
	char *equals = strchr(name, '=');
	struct lifecycle_container container = {.policy = RESTART_UNSET};
	if (equals != NULL && !read_policy(equals + 1, &container.policy, error))
		return false;
	if (equals != NULL)
		*equals = '\0';
	if (*name == '\0' || strlen(name) > CONTAINER_NAME_MAX)
		return error_set(error, "expected a name of at most %d bytes", CONTAINER_NAME_MAX);
	if (find_container(watch, name) != NULL)
		return error_set(error, "it was named before");
	if (watch->life.count == CONTAINERS_MAX)
		return error_set(error, "more than %d containers", CONTAINERS_MAX);
	watch->slots[watch->life.count] = (struct slot){.name = name, .socket = -1, .uid = -1};
	watch->life.containers[watch->life.count++] = container;
	return true;
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

static void read_flags(struct watch *watch, int argc, char **argv)
{
	enum restart_policy policy = RESTART_ALWAYS;
	const struct flag flags[] = {
	        {"mode", read_mode, &watch->life.classic},
	        {"restart-policy", read_policy, &policy},
	        {"grace", flag_duration, &watch->life.grace},
	        {"start-timeout", flag_duration, &watch->life.start_timeout},
	        {"container", read_container, watch},
	        {"owner", flag_text, &watch->pod.owner},
	        {"context", read_context, &watch->pod},
	        {"redact", read_pattern, &watch->pod.patterns},
	        {"ring-size", flag_count, &watch->ring_size},
	        {"tail", flag_count, &watch->tail_size},
	        {"socket", flag_text, &watch->socket_name},
	};
	subcommand_flags_read(flags, sizeof flags / sizeof flags[0], argc, argv);
	for (size_t i = 0; i < watch->life.count; i++)
		if (watch->life.containers[i].policy == RESTART_UNSET)
			watch->life.containers[i].policy = policy;
}

static int64_t between(int64_t least, int64_t value, int64_t most)
{
	return value < least ? least : value > most ? most : value;
}

/* Texts of argv and the environment are ours to write to: redacted and cut in their places. */
static const char *tidy(const struct watch *watch, const char *text)
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
	pod->name = tidy(watch, getenv("LASTWORD_POD_NAME"));
	pod->namespace = tidy(watch, getenv("LASTWORD_POD_NAMESPACE"));
	pod->uid = tidy(watch, getenv("LASTWORD_POD_UID"));
	pod->node = tidy(watch, getenv("LASTWORD_NODE_NAME"));
	pod->owner = tidy(watch, pod->owner);
	for (size_t i = 0; i < pod->context_count; i++)
		pod->context[i] = tidy(watch, pod->context[i]);
	pod->tail_size = (size_t)between(0, watch->tail_size, REPORT_TAIL_MAX);
}

/* Room for a copy of a ring; its pages come when they are used. */
static void make_room(struct watch *watch)
{
	static char spare[TAIL_MAX];
	watch->ring_size = between(RING_SIZE_MIN, watch->ring_size, RING_SIZE_MAX);
	watch->output_size =
	        (size_t)watch->ring_size > TAIL_MAX ? (size_t)watch->ring_size : TAIL_MAX;
	watch->output = mmap(NULL, watch->output_size, PROT_READ | PROT_WRITE,
	                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (watch->output == MAP_FAILED) {
		watch->output = spare;
		watch->output_size = sizeof spare;
	}
}

/*
 * SIGTERM is blocked and seen by the loop: a signal that is only let in while poll(2) waits would
 * never come while somebody keeps it from waiting. Returns the signalfd; -1: there is none, and the
 * handler runs at any time.
 */
static int take_termination(void)
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

/* Rings on their way to who does not take them count against the watchdogs of all pods on the node,
 * which are one user to the kernel (unix(7), ETOOMANYREFS). */
static void take_descriptors(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

int subcommand_watch(int argc, char **argv)
{
	static struct watch watch; /* large: not on the stack, and not in the file's data */
	watch.signals = take_termination();
	/* Nobody of this user's reads what it holds of all containers, nor changes it. */
	prctl(PR_SET_DUMPABLE, 0);
	take_descriptors();
	watch.socket_name = PROTOCOL_SOCKET;
	watch.ring_size = RING_SIZE_DEFAULT;
	watch.tail_size = TAIL_DEFAULT;
	watch.life.grace = GRACE_DEFAULT;
	watch.life.start_timeout = START_TIMEOUT_DEFAULT;
	watch.life.terminated_at = -1;
	watch.listener = -1;
	watch.outbox.fd = STDOUT_FILENO;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		watch.clients[i].socket = -1;
	watch.life.began_at = clock_now();
	read_flags(&watch, argc, argv);
	describe_pod(&watch);
	make_room(&watch);

	try_to_listen(&watch, clock_now());
	while (sidecar_lifecycle_end_at(&watch.life) > clock_now())
		turn(&watch);
	finish(&watch);
	return 0;
}
