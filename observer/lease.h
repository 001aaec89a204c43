/*
 * lease: leader election by a coordination.k8s.io/v1 Lease. No I/O of its own: requests to the
 * event loop.
 *
 * The rules are those of client-go's leaderelection: the holder renews every LEASE_RETRY; another
 * replica takes over when it has seen no change of the object for its leaseDurationSeconds, by its
 * own clock (clocks of different nodes are not compared). A holder that could not renew for
 * LEASE_RENEW stops leading before others may begin, since LEASE_RENEW < LEASE_DURATION. Every
 * write carries the resourceVersion that it is based on: of two replicas that try, one gets 409.
 *
 * Two leaders for a moment do no harm here: records and Events have fixed names.
 */
#ifndef LASTWORD_OBSERVER_LEASE_H
#define LASTWORD_OBSERVER_LEASE_H

#include <stdbool.h>

#include "observer/base/event_loop.h"

#define LEASE_DURATION (15 * SECOND)
#define LEASE_RENEW    (10 * SECOND)
#define LEASE_RETRY    (2 * SECOND)

struct lease {
	struct event_loop *loop;
	const char *namespace;
	const char *name;
	const char *identity; /* of this replica; unique */
	void (*changed)(void *context, bool leader);
	void *context;
	bool leader;
	bool releasing;
	bool known; /* the members below are the object, as far as this replica knows */
	/* the object as it was last seen */
	char version[64]; /* "": there is no object */
	char holder[256];
	int64_t duration; /* leaseDurationSeconds, in nanoseconds */
	int64_t transitions;
	int64_t acquired_at; /* by this replica; since 1970 */
	int64_t changed_at;  /* on the monotonic clock: when the version was first seen */
	int64_t renewed_at;  /* on the monotonic clock: when the last successful renewal began */
	struct request *request;
	struct timer timer;
	struct timer expiry; /* when this replica must stop leading */
};

void lease_init(struct lease *lease, struct event_loop *loop, const char *namespace,
                const char *name, const char *identity, void (*changed)(void *context, bool leader),
                void *context);
void lease_start(struct lease *lease);
/* Releases the Lease, so that another replica need not wait; lease->request is NULL when that is
 * done. */
void lease_release(struct lease *lease);
void lease_free(struct lease *lease);

#endif
