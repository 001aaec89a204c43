/*
 * link: the shim's side of the connection to the watchdog. PROTOCOL.md has the states.
 *
 * Nothing here waits but watchdog_client_send_exit(), and nothing that goes wrong here reaches the
 * command: without a watchdog the output goes to a small ring of the shim's own, and the connection
 * is tried again.
 *
 * The watchdog's ring is mapped only when it is sealed against shrinking (else whoever made it
 * could raise SIGBUS in the shim) and, where --watchdog-uid says so, when the other end is that
 * user's.
 */
#ifndef LASTWORD_WATCHDOG_WATCHDOG_CLIENT_H
#define LASTWORD_WATCHDOG_WATCHDOG_CLIENT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/ring.h"
#include "watchdog/protocol.h"

struct watchdog_client {
	int socket;          /* -1: down */
	bool shared;         /* *ring is the watchdog's, of this connection */
	int64_t retry_at;    /* when to connect again, while down */
	int64_t backoff;     /* the next wait */
	const char *address; /* the abstract socket's name */
	int64_t user;        /* uid that the watchdog must have; -1: any */
	int64_t start;       /* of the command, clock_now() */
	struct message hello;
	struct ring *ring; /* where the output goes; the caller's */
	void *map;         /* the watchdog's memory, NULL: none */
	size_t map_size;
};

/* Makes *ring the shim's own and prepares hello; connects to nothing yet. One link in a process. */
void watchdog_client_init(struct watchdog_client *link, const char *name, const char *address,
                          int64_t user, int64_t start, struct ring *ring);

/* Connects and says hello if it is down and time to. */
void watchdog_client_connect(struct watchdog_client *link, int64_t now);

struct pollfd watchdog_client_poll(const struct watchdog_client *link);
/* NEVER while connected. */
int64_t watchdog_client_next(const struct watchdog_client *link);

/* Takes what the watchdog sent. */
void watchdog_client_receive(struct watchdog_client *link, int64_t now);

/* Sends an event; lost when nobody is there or it cannot be sent at once. */
void watchdog_client_send(struct watchdog_client *link, struct message message);

/*
 * Tells the end, with the tail of the output if the ring is not shared, and waits until it is
 * acknowledged, at most until `until`. true: it was.
 */
bool watchdog_client_send_exit(struct watchdog_client *link, const struct message *exit,
                               int64_t until);

void watchdog_client_close(struct watchdog_client *link);

#endif
