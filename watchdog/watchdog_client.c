#include "watchdog/watchdog_client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"

#define BACKOFF_FIRST (20 * MILLISECOND)
#define BACKOFF_MAX   (2 * SECOND)

/* The ring that the shim uses while it has no shared one. One MESSAGE_TAIL carries all of it. */
static _Alignas(struct ring_header) char own_ring[sizeof(struct ring_header) + TAIL_MAX];

void watchdog_client_init(struct watchdog_client *client, const char *name, const char *address,
                          int64_t user, int64_t start, struct ring *ring)
{
	*client = (struct watchdog_client){.socket = -1,
	                                   .backoff = BACKOFF_FIRST,
	                                   .address = address,
	                                   .user = user,
	                                   .start = start,
	                                   .hello = message_make(MESSAGE_HELLO),
	                                   .ring = ring};
	size_t length = strnlen(name, CONTAINER_NAME_MAX);
	memcpy(client->hello.name, name, length);
	client->hello.pid = getpid();
	*ring = ring_format(own_ring, sizeof own_ring);
}

static void disconnect(struct watchdog_client *client, int64_t now)
{
	if (client->socket >= 0)
		close(client->socket);
	client->socket = -1;
	client->shared = false;
	client->retry_at = clock_after(now, client->backoff);
	client->backoff = clock_earlier(client->backoff * 2, BACKOFF_MAX);
}

/* The watchdog runs as the user that it has to. */
static bool is_trusted(const struct watchdog_client *client)
{
	struct ucred peer;
	socklen_t length = sizeof peer;
	if (client->user < 0)
		return true;
	return getsockopt(client->socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
	       peer.uid == (uid_t)client->user;
}

void watchdog_client_connect(struct watchdog_client *client, int64_t now)
{
	struct sockaddr_un address;
	socklen_t length;
	if (client->socket >= 0 || now < client->retry_at)
		return;
	client->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	protocol_address(client->address, &address, &length);
	client->hello.duration = clock_now() - client->start;
	if (client->socket < 0 ||
	    connect(client->socket, (struct sockaddr *)&address, length) < 0 ||
	    !is_trusted(client) || !message_send(client->socket, &client->hello, NULL, 0, -1))
		disconnect(client, now);
}

struct pollfd watchdog_client_poll(const struct watchdog_client *client)
{
	return (struct pollfd){.fd = client->socket, .events = POLLIN};
}

int64_t watchdog_client_next(const struct watchdog_client *client)
{
	return client->socket >= 0 ? NEVER : client->retry_at;
}

/* Changes over to the ring in the watchdog's memfd, with the content of the old one. */
static void use_shared_ring(struct watchdog_client *client, int memory)
{
	struct stat status;
	struct ring ring;
	int seals = fcntl(memory, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(memory, &status) < 0 ||
	    status.st_size <= 0)
		return;
	size_t size = (size_t)status.st_size;
	if (size > ring_memory_size(RING_SIZE_MAX))
		return;
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (map == MAP_FAILED)
		return;
	if (!ring_open(map, size, &ring)) {
		munmap(map, size);
		return;
	}
	ring_take_over(&ring, client->ring);
	*client->ring = ring;
	if (client->map != NULL)
		munmap(client->map, client->map_size);
	client->map = map;
	client->map_size = size;
	client->shared = true;
	client->backoff = BACKOFF_FIRST;
}

/* Receives one message, which is to be a WELCOME. Whatever else a watchdog of version 1 sends is
 * followed by the end of the connection. */
static void receive(struct watchdog_client *client, int64_t now)
{
	struct message message;
	int memory = -1;
	enum received received = message_receive(client->socket, &message, NULL, 0, NULL, &memory);
	if (received == RECEIVED_NOTHING)
		return;
	if (received != RECEIVED_MESSAGE) {
		disconnect(client, now);
		return;
	}
	if (message.type == MESSAGE_WELCOME && memory >= 0 && !client->shared)
		use_shared_ring(client, memory);
	if (memory >= 0)
		close(memory);
}

void watchdog_client_receive(struct watchdog_client *client, int64_t now)
{
	if (client->socket >= 0)
		receive(client, now);
}

void watchdog_client_send(struct watchdog_client *client, struct message message)
{
	memcpy(message.name, client->hello.name, sizeof message.name);
	/* A watchdog that starts later learns it from the HELLO. */
	if (message.type == MESSAGE_TERMINATING)
		client->hello.signal = message.signal;
	if (client->socket >= 0)
		message_send(client->socket, &message, NULL, 0, -1);
}

/* Sends, and waits while the watchdog's receive queue is full. */
static bool send_until(struct watchdog_client *client, const struct message *message,
                       const char *extra, size_t length, int64_t until)
{
	while (!message_send(client->socket, message, extra, length, -1)) {
		struct pollfd poll_socket = {.fd = client->socket, .events = POLLOUT};
		if (errno != EAGAIN || clock_now() >= until)
			return false;
		poll(&poll_socket, 1, clock_timeout(clock_now(), until));
	}
	return true;
}

/* A failure does not matter: EXIT is sent without the output then. */
static void send_tail(struct watchdog_client *client, int64_t until)
{
	static char tail[TAIL_MAX];
	struct message message = message_make(MESSAGE_TAIL);
	bool cut;
	size_t length = ring_read(client->ring, tail, sizeof tail, &message.total, &cut);
	send_until(client, &message, tail, length, until);
}

void watchdog_client_send_exit(struct watchdog_client *client, const struct message *exit,
                               int64_t until)
{
	/* While the last output was carried the watchdog may have been restarted. */
	watchdog_client_receive(client, clock_now());
	watchdog_client_connect(client, NEVER); /* even if the backoff is not over */
	/* The WELCOME with a ring may be there by now. */
	watchdog_client_receive(client, clock_now());
	if (client->socket < 0)
		return;
	if (!client->shared)
		send_tail(client, until);
	if (!send_until(client, exit, NULL, 0, until))
		return;
	for (int64_t now = clock_now(); client->socket >= 0 && now < until; now = clock_now()) {
		struct pollfd readable = watchdog_client_poll(client);
		if (poll(&readable, 1, clock_timeout(now, until)) > 0)
			receive(client, now);
	}
}

void watchdog_client_close(struct watchdog_client *client)
{
	if (client->socket >= 0)
		close(client->socket);
	client->socket = -1;
	if (client->map != NULL)
		munmap(client->map, client->map_size);
	client->map = NULL;
}
