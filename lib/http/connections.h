/*
 * connections: the open connections of a server, by the address of their client, so that no address
 * can take what others need. Knows sockets only as something to shut down.
 *
 * A connection is silent until its first request's header is complete, then receiving a body, then
 * being answered, then idle until the next header is complete. Each state has an absolute deadline;
 * a connection past it is shut down. It is closing then: it counts no more, and is freed when its
 * owner has noticed.
 *
 * Room is made, not refused: when there are as many connections as may be, one is shut down for the
 * new one. Silent ones go first, idle ones then; among them the oldest of the address that has the
 * most. So an address that has fewer than others keeps what it has, and the kubelet's probe or an
 * API server finds room however many connections strangers hold. Requests and the bytes of bodies
 * and responses have limits too: for all, for each address, and a last quarter that only addresses
 * may use that hold little. When one of these is full, the oldest request that is still being
 * received, of the address that holds the most, is shut down; a request that came too late gets 503
 * and finds room soon.
 *
 * An address is an IPv4 address or an IPv6 /64. Every function may be called from any thread; a
 * connection is its owner's until connection_closed().
 */
#ifndef LASTWORD_LIB_HTTP_CONNECTIONS_H
#define LASTWORD_LIB_HTTP_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct connections;
struct connection;

/* For all addresses together, and for each; "each" of 0 is as for all. */
struct connection_limits {
	unsigned connections;
	unsigned connections_each;
	unsigned requests;
	unsigned requests_each;
	size_t bytes;
	size_t bytes_each;
};

enum connection_state {
	CONNECTION_SILENT,
	CONNECTION_RECEIVING,
	CONNECTION_RESPONDING,
	CONNECTION_IDLE,
	CONNECTION_CLOSING,
	CONNECTION_STATES,
};

/* NULL when there is no memory. */
struct connections *connections_new(const struct connection_limits *limits);
/* All connections are closed. NULL is fine. */
void connections_free(struct connections *connections);

/* A connection has been accepted and is silent. Times are nanoseconds on the monotonic clock. NULL:
 * it is shut down, there is no room for it. */
struct connection *connection_opened(struct connections *connections, int fd,
                                     const struct sockaddr *address, int64_t now, int64_t timeout);
/* Its socket is about to be closed; what it held is given back. NULL is fine. */
void connection_closed(struct connection *connection);
/* Its deadline is the timeout from now on; of CONNECTION_RESPONDING the one it had. */
void connection_enter(struct connection *connection, enum connection_state state, int64_t now,
                      int64_t timeout);

/* Takes a share of the requests in flight; ended once for each, whether there was room or not. */
bool connection_begin_request(struct connection *connection, int64_t now);
void connection_end_request(struct connection *connection);

/* Takes bytes of memory; they count until they are given back, whether there was room or not. */
bool connection_take(struct connection *connection, size_t bytes, int64_t now);
/* Would there be room for so much now? */
bool connection_may_take(struct connection *connection, size_t bytes);
void connection_give_back(struct connection *connection, size_t bytes);

/* The client's address as text. */
const char *connection_client(const struct connection *connection);

/* A number below places for a client's address, the same each time. */
unsigned connection_client_place(const char *client, unsigned places);

/* Shuts down what is past its deadline. */
void connections_shut_overdue(struct connections *connections, int64_t now);

struct connections_counts {
	uint64_t open;      /* now, but for the closing ones */
	uint64_t requests;  /* in flight */
	uint64_t timed_out; /* shut down past a deadline */
	uint64_t displaced; /* shut down, or not taken, for want of room */
};
void connections_count(struct connections *connections, struct connections_counts *ret_counts);

#endif
