/*
 * status: the observer's plain HTTP: /healthz, /readyz, /metrics.
 *
 * Healthy: the observer's thread made a turn within STATUS_STUCK. Ready: the first list of pods was
 * complete. Threads: the server's; they read atomics and the meters.
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
	_Atomic int64_t turned_at; /* clock_now() of the last turn */
	struct http_server *server;
};

/* The observer and *status outlive the server. */
bool status_start(struct status *status, struct observer *observer, const char *address,
                  struct error *error);
const char *status_address(const struct status *status);
void status_stop(struct status *status);

#endif
