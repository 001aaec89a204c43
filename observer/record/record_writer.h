/*
 * publish: a record is written once and told, whichever replica does it. No I/O of its own.
 *
 * A publication goes through these stages; every arrow that leads back to a stage waits first.
 *
 *   WRITE   POST the record             201 → TELL; 409 → HOLD, then CHECK
 *   HOLD    30 s; a new leader ends it  → CHECK
 *   CHECK   GET the record              404 → WRITE; it is there and told → over; not told → TELL
 *   TELL    Events, then status.told    → over
 *
 * The leader begins with WRITE, the others with HOLD: they step in for what is still missing. Names
 * are fixed (lib/kube/agent_exit, event.h), so it does no harm when two replicas do the same.
 *
 * Invariants:
 *  - A record that was given is either written by somebody, or after PUBLISH_GIVE_UP of refusals
 *    (403, 404, 422: no right, no namespace, no CRD, not valid), or when there is no more time
 *    (publisher_print()), printed in our own log.
 *  - Trouble of the server (no response, 429, 5xx) is never a reason to give up.
 *  - 409 after an attempt without a response is our own record: it is told at once.
 *  - `bytes` is the memory of all publications; the giver stops reading events while it is high.
 */
#ifndef LASTWORD_OBSERVER_RECORD_RECORD_WRITER_H
#define LASTWORD_OBSERVER_RECORD_RECORD_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/kube/agent_exit.h"
#include "observer/pod/termination.h"
#include "observer/event_loop.h"
#include "observer/notify/event.h"
#include "observer/metrics.h"

#define PUBLISH_GIVE_UP (INT64_C(600) * SECOND)

struct publication;

struct publisher {
	struct engine *engine;
	struct meters *meters;
	int64_t step_in; /* how long others wait for the leader */
	bool leader;
	struct publication *first;
	size_t count;
	size_t bytes;
	uint64_t written; /* by us, ever */
	struct event_groups groups;
	/* There are fewer publications than before. */
	void (*less)(void *context);
	void *context;
};

void publisher_init(struct publisher *publisher, struct engine *engine, struct meters *meters,
                    int64_t step_in, void (*less)(void *context), void *context);
void publisher_free(struct publisher *publisher);

/* Prints the records that are not written yet. */
void publisher_print(const struct publisher *publisher);

void publisher_set_leader(struct publisher *publisher, bool leader);

/* Takes a copy of what it needs. False: no memory. */
bool publish(struct publisher *publisher, const struct end *end, const struct agent_exit *exit);

/* The record is there already (the object as the API server gave it): tells it if nobody has. */
bool publish_found(struct publisher *publisher, const struct end *end, const json *object);

/* "/apis/…/namespaces/NS/agentexits", and with a name that object's; malloc'ed. */
char *publish_path(const char *namespace, const char *name, const char *subresource);

#endif
