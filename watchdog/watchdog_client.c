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

/* The ring that the shim has while there is no watchdog: what one MESSAGE_TAIL can tell. */
static _Alignas(struct ring_header) char own_ring[sizeof(struct ring_header) + TAIL_MAX];

void watchdog_client_init(struct watchdog_client *link, const char *name, const char *address,
                          int64_t user, int64_t start, struct ring *ring)
{
	*link = (struct watchdog_client){.socket = -1,
	                                 .backoff = BACKOFF_FIRST,
	                                 .address = address,
	                                 .user = user,
	                                 .start = start,
	                                 .hello = message_make(MESSAGE_HELLO),
	                                 .ring = ring};
	size_t length = strnlen(name, CONTAINER_NAME_MAX);
	memcpy(link->hello.name, name, length);
	link->hello.pid = getpid();
	*ring = ring_format(own_ring, sizeof own_ring);
}

static void lost(struct watchdog_client *link, int64_t now)
{
	if (link->socket >= 0)
		close(link->socket);
	link->socket = -1;
	link->shared = false;
	link->retry_at = clock_after(now, link->backoff);
	link->backoff = clock_earlier(link->backoff * 2, BACKOFF_MAX);
}

/* The other end is the user that it has to be. */
static bool is_trusted(const struct watchdog_client *link)
{
	struct ucred peer;
	socklen_t length = sizeof peer;
	if (link->user < 0)
		return true;
	return getsockopt(link->socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
	       peer.uid == (uid_t)link->user;
}

void watchdog_client_connect(struct watchdog_client *link, int64_t now)
{
	struct sockaddr_un address;
	socklen_t length;
	if (link->socket >= 0 || now < link->retry_at)
		return;
	link->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	protocol_address(link->address, &address, &length);
	link->hello.duration = clock_now() - link->start;
	if (link->socket < 0 || connect(link->socket, (struct sockaddr *)&address, length) < 0 ||
	    !is_trusted(link) || !message_send(link->socket, &link->hello, NULL, 0, -1))
		lost(link, now);
}

struct pollfd watchdog_client_poll(const struct watchdog_client *link)
{
	return (struct pollfd){.fd = link->socket, .events = POLLIN};
}

int64_t watchdog_client_next(const struct watchdog_client *link)
{
	return link->socket >= 0 ? NEVER : link->retry_at;
}

/* Goes over to the ring in the watchdog's memfd, with what the old one holds. */
static void share(struct watchdog_client *link, int memory)
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
	ring_take_over(&ring, link->ring);
	*link->ring = ring;
	if (link->map != NULL)
		munmap(link->map, link->map_size);
	link->map = map;
	link->map_size = size;
	link->shared = true;
	link->backoff = BACKOFF_FIRST;
}

/* Returns the type of the message that came, 0 for none. */
static int receive(struct watchdog_client *link, int64_t now)
{
	struct message message;
	int memory = -1;
	enum received received = message_receive(link->socket, &message, NULL, 0, NULL, &memory);
	if (received == RECEIVED_NOTHING)
		return 0;
	if (received != RECEIVED_MESSAGE || message.type == MESSAGE_REFUSED) {
		lost(link, now);
		return 0;
	}
	if (message.type == MESSAGE_WELCOME && memory >= 0 && !link->shared)
		share(link, memory);
	if (memory >= 0)
		close(memory);
	return message.type;
}

void watchdog_client_receive(struct watchdog_client *link, int64_t now)
{
	if (link->socket >= 0)
		receive(link, now);
}

void watchdog_client_send(struct watchdog_client *link, struct message message)
{
	memcpy(message.name, link->hello.name, sizeof message.name);
	/* A watchdog that comes later is told with the hello. */
	if (message.type == MESSAGE_TERMINATING)
		link->hello.signal = message.signal;
	if (link->socket >= 0)
		message_send(link->socket, &message, NULL, 0, -1);
}

/* Sends, waiting while the other end's queue is full. */
static bool send_until(struct watchdog_client *link, const struct message *message,
                       const char *extra, size_t length, int64_t until)
{
	while (!message_send(link->socket, message, extra, length, -1)) {
		struct pollfd poll_socket = {.fd = link->socket, .events = POLLOUT};
		if (errno != EAGAIN || clock_now() >= until)
			return false;
		poll(&poll_socket, 1, clock_timeout(clock_now(), until));
	}
	return true;
}

/* Without it the end is told all the same. */
static void send_tail(struct watchdog_client *link, int64_t until)
{
	static char tail[TAIL_MAX];
	struct message message = message_make(MESSAGE_TAIL);
	bool cut;
	size_t length = ring_read(link->ring, tail, sizeof tail, &message.total, &cut);
	send_until(link, &message, tail, length, until);
}

bool watchdog_client_send_exit(struct watchdog_client *link, const struct message *exit,
                               int64_t until)
{
	/* While the last output was carried the watchdog may have gone, and another one come. */
	watchdog_client_receive(link, clock_now());
	watchdog_client_connect(link, NEVER); /* whenever it was due */
	if (link->socket < 0)
		return false;
	/* A ring that is on its way will do. */
	watchdog_client_receive(link, clock_now());
	if (link->socket < 0)
		return false;
	if (!link->shared)
		send_tail(link, until);
	if (!send_until(link, exit, NULL, 0, until))
		return false;
	while (link->socket >= 0) {
		struct pollfd poll_socket = watchdog_client_poll(link);
		int type = receive(link, clock_now());
		if (type == MESSAGE_ACK)
			return true;
		int64_t now = clock_now();
		if (now >= until)
			return false;
		if (type == 0 && link->socket >= 0)
			poll(&poll_socket, 1, clock_timeout(now, until));
	}
	return false;
}

void watchdog_client_close(struct watchdog_client *link)
{
	if (link->socket >= 0)
		close(link->socket);
	link->socket = -1;
	if (link->map != NULL)
		munmap(link->map, link->map_size);
	link->map = NULL;
}
