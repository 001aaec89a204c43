/*
 * watch_socket: the sidecar's socket and the connections to it. PROTOCOL.md has the messages.
 *
 * A connection is pending until its first message: HELLO makes it the shim of its container, FLUSH
 * has a report printed. Everything here is non-blocking.
 *
 * The watchdog answers by closing the connection; the one message that it sends carries a ring, and
 * rings are rate limited. A message that nobody receives stays charged to its sender's memory: so
 * no number of connections that never read adds up to much.
 */
#ifndef LASTWORD_WATCHDOG_WATCH_SOCKET_H
#define LASTWORD_WATCHDOG_WATCH_SOCKET_H

#include "lib/base/error.h"
#include "watchdog/watch_state.h"

/* No socket, no connection. */
void watch_socket_init(struct watch *watch);

/* Names one more container whose agent has a shim. name lives as long as watch. */
bool watch_add_agent(struct watch *watch, const char *name, enum restart_policy policy,
                     struct error *error);

/* Binds and listens, if it does not yet and it is time to. */
void watch_listen(struct watch *watch, int64_t now);

/* Accepts connections, a few per turn. */
void watch_accept(struct watch *watch, int64_t now);

/* Makes an accepted socket the newest pending connection; the oldest one makes room. */
struct pending_connection *watch_add_pending(struct watch *watch, int socket, int64_t close_at);

/* Takes what a pending connection, or the connected shim of a container, has sent. */
void watch_receive_pending(struct watch *watch, struct pending_connection *pending);
void watch_receive_from_shim(struct watch *watch, struct agent *agent);

void watch_close_pending(struct pending_connection *pending);

#endif
