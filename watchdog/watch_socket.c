#include "watchdog/watch_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "watchdog/stderr_log.h"
#include "watchdog/watch_report.h"

#define PENDING_WAIT    (2 * SECOND) /* for a connection's first message */
#define BIND_WAIT       SECOND       /* before bind(2), or accept(2), is tried again */
#define MESSAGES_A_TURN 8

/* Kubernetes restarts a container once in five minutes in the long run. A memfd that somebody keeps
 * open, or whose pages he has put into a pipe, stays charged to the watchdog. */
#define RINGS_BURST   16
#define RING_INTERVAL (300 * SECOND)

void watch_socket_init(struct watch *watch)
{
	watch->listener = -1;
	for (size_t i = 0; i < PENDING_MAX; i++)
		watch->pending[i].socket = -1;
}

static struct agent *find_agent(struct watch *watch, const char *name)
{
	for (size_t i = 0; i < watch->lifecycle.count; i++)
		if (strcmp(watch->agents[i].name, name) == 0)
			return &watch->agents[i];
	return NULL;
}

bool watch_add_agent(struct watch *watch, const char *name, enum restart_policy policy,
                     struct error *error)
{
	size_t *count = &watch->lifecycle.count;
	if (*name == '\0' || strlen(name) > CONTAINER_NAME_MAX)
		return error_set(error, "expected a name of at most %d bytes", CONTAINER_NAME_MAX);
	if (find_agent(watch, name) != NULL)
		return error_set(error, "it was named before");
	if (*count == CONTAINERS_MAX)
		return error_set(error, "more than %d containers", CONTAINERS_MAX);
	watch->agents[*count] = (struct agent){.name = name, .socket = -1, .uid = -1};
	watch->lifecycle.containers[*count] = (struct lifecycle_container){.policy = policy};
	++*count;
	return true;
}

/* ---- Connected shims ---- */

static struct lifecycle_container *container_of(struct watch *watch, const struct agent *agent)
{
	return &watch->lifecycle.containers[agent - watch->agents];
}

static void disconnect(struct watch *watch, struct agent *agent, enum container_state state)
{
	close(agent->socket);
	agent->socket = -1;
	mapped_ring_free(&agent->ring);
	container_of(watch, agent)->state = state;
}

static void connection_lost(struct watch *watch, struct agent *agent)
{
	watch_report_connection_lost(watch, agent);
	container_of(watch, agent)->failed = true;
	disconnect(watch, agent, CONTAINER_TERMINATED);
}

/* The report is in the queue, and written if stdout takes it, before the connection is closed: that
 * is the acknowledgement. */
static void exited(struct watch *watch, struct agent *agent, const struct message *exit)
{
	container_of(watch, agent)->failed = watch_report_exit(watch, agent, exit);
	disconnect(watch, agent, CONTAINER_TERMINATED);
}

/* The output of a shim that has no ring of the watchdog's. */
static void take_tail(struct watch *watch, struct agent *agent, const struct message *tail,
                      size_t length)
{
	if (agent->ring.map == NULL && !mapped_ring_create_private(TAIL_MAX, &agent->ring, NULL))
		return;
	ring_put(&agent->ring.ring, watch->received, length,
	         tail->total > length ? tail->total : length);
}

static void take_message(struct watch *watch, struct agent *agent, const struct message *message,
                         size_t extra)
{
	switch ((enum message_type)message->type) {
	case MESSAGE_TERMINATING:
		agent->termination_requested = true;
		return;
	case MESSAGE_SILENT:
	case MESSAGE_DEADLINE:
		watch_report_event(watch, agent, message);
		return;
	case MESSAGE_TAIL:
		take_tail(watch, agent, message, extra);
		return;
	case MESSAGE_EXIT:
		exited(watch, agent, message);
		return;
	case MESSAGE_LEAVING:
		disconnect(watch, agent, CONTAINER_WAITING);
		return;
	case MESSAGE_HELLO:
	case MESSAGE_WELCOME:
	case MESSAGE_REFUSED:
	case MESSAGE_ACK:
	case MESSAGE_FLUSH:
		connection_lost(watch, agent); /* a shim does not send these here */
		return;
	}
}

void watch_receive_from_shim(struct watch *watch, struct agent *agent)
{
	for (int i = 0; i < MESSAGES_A_TURN && agent->socket >= 0; i++) {
		struct message message;
		size_t extra = 0;
		switch (message_receive(agent->socket, &message, watch->received, TAIL_MAX, &extra,
		                        NULL)) {
		case RECEIVED_NOTHING:
			return;
		case RECEIVED_END:
		case RECEIVED_GARBAGE:
			connection_lost(watch, agent);
			return;
		case RECEIVED_MESSAGE:
			take_message(watch, agent, &message, extra);
			break;
		}
	}
}

/* ---- Pending connections ---- */

void watch_close_pending(struct pending_connection *pending)
{
	if (pending->socket >= 0)
		close(pending->socket);
	pending->socket = -1;
}

static int64_t peer_uid(int socket)
{
	struct ucred peer;
	socklen_t length = sizeof peer;
	return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 ? (int64_t)peer.uid
	                                                                        : -1;
}

/* WELCOME carries the ring; there is none without. The shim may have ended, with its EXIT waiting
 * in the socket: whether it still reads does not matter. */
static void send_ring(struct watch *watch, struct agent *agent)
{
	static const struct rate_limit limit = {RINGS_BURST, RING_INTERVAL};
	struct message message = message_make(MESSAGE_WELCOME);
	struct error error = {""};
	int fd;
	if (!rate_limit_take(&limit, &agent->rates[RATE_RINGS], agent->connected_at))
		return;
	if (!mapped_ring_create_shared((size_t)watch->ring_size, &agent->ring, &fd, &error)) {
		stderr_log("%s: the shim of %s keeps its last output itself", error.message,
		           agent->name);
		return;
	}
	message_send(agent->socket, &message, NULL, 0, fd);
	close(fd);
}

static void take_hello(struct watch *watch, struct pending_connection *pending,
                       const struct message *hello)
{
	struct agent *agent = find_agent(watch, hello->name);
	if (agent != NULL && agent->socket >= 0)
		watch_receive_from_shim(watch, agent); /* the old shim may have ended */
	if (agent == NULL || agent->socket >= 0) {
		watch_close_pending(pending);
		return;
	}
	agent->socket = pending->socket;
	pending->socket = -1;
	agent->shim_instance++;
	agent->hello = *hello;
	agent->hello.duration = hello->duration < 0 ? 0 : hello->duration;
	agent->connected_at = clock_now();
	agent->uid = peer_uid(agent->socket);
	agent->silences = 0;
	agent->deadline_exceeded_at = 0;
	agent->termination_requested = hello->signal != 0 || watch->lifecycle.terminated_at >= 0;
	container_of(watch, agent)->state = CONTAINER_RUNNING;
	send_ring(watch, agent);
	watch_receive_from_shim(watch, agent);
}

static void take_flush(struct watch *watch, struct pending_connection *pending,
                       const struct message *flush)
{
	struct agent *agent = find_agent(watch, flush->name);
	if (agent != NULL && agent->socket >= 0)
		watch_receive_from_shim(watch, agent);
	if (agent != NULL && agent->socket >= 0) {
		/* The hook runs when the container is about to be stopped, and as its user. */
		if (peer_uid(pending->socket) == agent->uid)
			agent->termination_requested = true;
		watch_report_flush(watch, agent);
	}
	watch_close_pending(pending);
}

void watch_receive_pending(struct watch *watch, struct pending_connection *pending)
{
	struct message message;
	enum received received = message_receive(pending->socket, &message, NULL, 0, NULL, NULL);
	if (received == RECEIVED_NOTHING)
		return;
	if (received == RECEIVED_MESSAGE && message.type == MESSAGE_HELLO)
		take_hello(watch, pending, &message);
	else if (received == RECEIVED_MESSAGE && message.type == MESSAGE_FLUSH)
		take_flush(watch, pending, &message);
	else
		watch_close_pending(pending);
}

/* ---- The listening socket ---- */

static bool bind_and_listen(struct watch *watch)
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

void watch_listen(struct watch *watch, int64_t now)
{
	if (watch->listener >= 0 || now < watch->bind_at)
		return;
	if (bind_and_listen(watch)) {
		if (watch->bind_reported)
			stderr_log("the watchdog listens on its socket now");
		return;
	}
	if (!watch->bind_reported)
		stderr_log_errno(errno,
		                 "cannot listen on the socket \"%s\" of this pod; the watchdog "
		                 "tries again every second, agents run without it",
		                 watch->socket_name);
	watch->bind_reported = true;
	watch->bind_at = clock_after(now, BIND_WAIT);
}

struct pending_connection *watch_add_pending(struct watch *watch, int socket, int64_t close_at)
{
	struct pending_connection *place = &watch->pending[0];
	for (size_t i = 0; i < PENDING_MAX && place->socket >= 0; i++)
		if (watch->pending[i].socket < 0 || watch->pending[i].close_at < place->close_at)
			place = &watch->pending[i];
	watch_close_pending(place);
	*place = (struct pending_connection){.socket = socket, .close_at = close_at};
	return place;
}

void watch_accept(struct watch *watch, int64_t now)
{
	for (int i = 0; i < PENDING_MAX; i++) {
		int socket = accept4(watch->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (socket < 0) {
			/* The connection stays in the backlog and would wake the loop at once. */
			if (errno != EAGAIN)
				watch->accept_at = clock_after(now, BIND_WAIT);
			return;
		}
		int64_t close_at = clock_after(now, PENDING_WAIT);
		/* Mostly its first message is there already. */
		watch_receive_pending(watch, watch_add_pending(watch, socket, close_at));
	}
}
