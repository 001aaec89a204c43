/*
 * lease: which replica writes, by a coordination.k8s.io/v1 Lease. No I/O of its own.
 *
 * As client-go's leaderelection, whose rules these are: the holder renews every LEASE_RETRY; the
 * others take over when they have seen no change of the object for its leaseDurationSeconds, by
 * their own clock (clocks of nodes are not compared). A holder that could not renew for LEASE_RENEW
 * stops writing before the others may begin, since LEASE_RENEW < LEASE_DURATION. Every write
 * carries the resourceVersion that it is based on: of two that try, one gets 409.
 *
 * Two leaders for a moment do no harm here: records have fixed names.
 */
#ifndef LASTWORD_OBSERVER_LEASE_H
#define LASTWORD_OBSERVER_LEASE_H

#include <stdbool.h>

#include "observer/event_loop.h"

#define LEASE_DURATION (15 * SECOND)
#define LEASE_RENEW    (10 * SECOND)
#define LEASE_RETRY    (2 * SECOND)

struct lease {
	struct engine *engine;
	const char *namespace;
	const char *name;
	const char *identity; /* of this replica; unique */
	void (*changed)(void *context, bool leader);
	void *context;
	bool leader;
	bool releasing;
	bool known; /* what follows is the object as it is, as far as we know */
	/* the object as it was last seen */
	char version[64]; /* "": there is none */
	char holder[256];
	int64_t duration; /* its own, nanoseconds */
	int64_t transitions;
	int64_t acquired_at; /* since 1970; by us */
	int64_t changed_at;  /* engine.now when the version was first seen */
	int64_t renewed_at;  /* engine.now when our last successful renewal was begun */
	struct request *request;
	struct timer timer;
	struct timer expiry; /* we may no longer call ourselves the leader */
};

void lease_init(struct lease *lease, struct engine *engine, const char *namespace, const char *name,
                const char *identity, void (*changed)(void *context, bool leader), void *context);
void lease_start(struct lease *lease);
/* Gives it up, so that another one need not wait; lease->request is NULL when that is done. */
void lease_release(struct lease *lease);
void lease_free(struct lease *lease);

#endif
