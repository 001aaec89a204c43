/*
 * status: the observer's HTTP server, without TLS: /healthz, /readyz, /metrics.
 *
 * Healthy: the observer's thread has run its event loop within STATUS_STUCK. Ready: the first list
 * of pods is complete, and list and watch make progress (watcher_is_current()). Threads: the server
 * has its own; they read atomics and the metrics.
 */
#ifndef LASTWORD_OBSERVER_STATUS_H
#define LASTWORD_OBSERVER_STATUS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "observer/observer.h"

#define STATUS_STUCK (60 * SECOND)

struct status {
	struct observer *observer;
	_Atomic int64_t turned_at; /* clock_now() when the event loop last ran */
	struct http_server *server;
};

/* The observer and *status must outlive the server. */
bool status_start(struct status *status, struct observer *observer, const char *address,
                  struct error *error);
const char *status_address(const struct status *status);
void status_stop(struct status *status);

#endif
