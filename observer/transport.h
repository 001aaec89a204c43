/*
 * transport: sends the observer's requests with lib/kube/client, and sets its clocks
 * (wall_clock.h).
 */
#ifndef LASTWORD_OBSERVER_TRANSPORT_H
#define LASTWORD_OBSERVER_TRANSPORT_H

#include <stdbool.h>

#include "lib/kube/client.h"
#include "observer/observer.h"

/* Connects the two; the client remains the caller's and must outlive the observer. */
void transport_attach(struct observer *observer, struct kube_client *client);

/* One turn of the event loop: fires the timers that are due, sends the requests that were added,
 * waits for at most `most` nanoseconds until something comes. */
void transport_run_once(struct observer *observer, struct kube_client *client, int64_t most);

#endif
