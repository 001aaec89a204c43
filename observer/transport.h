/*
 * edge: carries the observer's requests over lib/kube/client, and says what time it is.
 */
#ifndef LASTWORD_OBSERVER_TRANSPORT_H
#define LASTWORD_OBSERVER_TRANSPORT_H

#include <stdbool.h>

#include "lib/kube/client.h"
#include "observer/observer.h"

/* Joins the two; the client belongs to the caller and outlives the observer. */
void edge_join(struct observer *observer, struct kube_client *client);

/* One turn: fires what is due, sends what was added, waits for at most `most` nanoseconds until
 * something comes. */
void edge_turn(struct observer *observer, struct kube_client *client, int64_t most);

#endif
