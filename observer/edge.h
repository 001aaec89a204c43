/*
 * edge: carries the observer's requests over lib/kube_client, and says what time it is.
 */
#ifndef LASTWORD_OBSERVER_EDGE_H
#define LASTWORD_OBSERVER_EDGE_H

#include <stdbool.h>

#include "lib/kube_client.h"
#include "observer/observer.h"

/* Nanoseconds: monotonic, and since 1970. */
int64_t edge_now(void);
int64_t edge_wall(void);

/* Joins the two; the client belongs to the caller and outlives the observer. */
void edge_join(struct observer *observer, struct kube_client *client);

/* One turn: fires what is due, sends what was added, waits for at most `most` nanoseconds until
 * something comes. */
void edge_turn(struct observer *observer, struct kube_client *client, int64_t most);

#endif
