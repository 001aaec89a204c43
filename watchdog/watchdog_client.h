/*
 * watchdog_client: the shim's connection to the watchdog. PROTOCOL.md has the states.
 *
 * Only watchdog_client_send_exit() waits, and no failure here reaches the command: without a
 * watchdog the output goes to a small ring of the shim's own, and the shim connects again later.
 *
 * The watchdog's ring is mapped only if it is sealed against shrinking (otherwise its creator could
 * raise SIGBUS in the shim) and, with --watchdog-uid, only if the watchdog runs as that user.
 */
#ifndef LASTWORD_WATCHDOG_WATCHDOG_CLIENT_H
#define LASTWORD_WATCHDOG_WATCHDOG_CLIENT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/ring.h"
#include "watchdog/protocol.h"

struct watchdog_client {
	int socket;          /* -1: not connected */
	bool shared;         /* *ring is the watchdog's, of this connection */
	int64_t retry_at;    /* when to connect again */
	int64_t backoff;     /* the next wait */
	const char *address; /* the abstract socket's name */
	int64_t user;        /* uid that the watchdog must have; -1: any */
	int64_t start;       /* of the command, clock_now() */
	struct message hello;
	struct ring *ring; /* where the output goes; the caller's */
	void *map;         /* the watchdog's memory, NULL: none */
	size_t map_size;
};

/* Makes *ring the shim's own and prepares the HELLO; does not connect yet. One per process. */
void watchdog_client_init(struct watchdog_client *client, const char *name, const char *address,
                          int64_t user, int64_t start, struct ring *ring);

/* Connects and sends HELLO, if it is not connected and the backoff is over. */
void watchdog_client_connect(struct watchdog_client *client, int64_t now);

struct pollfd watchdog_client_poll(const struct watchdog_client *client);
/* NEVER while connected. */
int64_t watchdog_client_next(const struct watchdog_client *client);

/* Receives one message of the watchdog, if there is one. */
void watchdog_client_receive(struct watchdog_client *client, int64_t now);

/* Sends an event. It is lost if there is no watchdog or it cannot be sent at once. */
void watchdog_client_send(struct watchdog_client *client, struct message message);

/*
 * Sends EXIT, after TAIL with the end of the output if the ring is not shared, and waits until the
 * watchdog has printed the report and closes the connection, at most until `until`.
 */
void watchdog_client_send_exit(struct watchdog_client *client, const struct message *exit,
                               int64_t until);

void watchdog_client_close(struct watchdog_client *client);

#endif
