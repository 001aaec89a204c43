/*
 * resolver: sets status.resolvedAt of the records of an agent that has succeeded later. No I/O of
 * its own: requests to the event loop.
 *
 * Agents are known by namespace and agent_exit_identity(). The leader remembers which agents have
 * records that are open (not resolved): from the record GC's first pass after it became the leader,
 * then from its record writer. Every replica remembers the success of agents that started last, so
 * that it does not matter which comes first, record, success or leadership. For a success of an
 * agent with open records, and for no other, the leader lists the records with that identity, in
 * pages, and patches those whose run had ended when the successful one started; one agent at a
 * time.
 *
 * Invariants:
 *  - A record that is resolved is not patched again.
 *  - An agent is forgotten when a list shows no record of it that is open.
 *  - Memory: RESOLVER_SUCCESSES successes (of two agents with the same place in the table the later
 *    one is kept), RESOLVER_AGENTS_MAX agents, RESOLVER_QUEUE_MAX successes that wait. What does
 *    not fit is resolved by the agent's next success, or when another replica becomes the leader.
 */
#ifndef LASTWORD_OBSERVER_RECORD_RESOLVER_H
#define LASTWORD_OBSERVER_RECORD_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/kube/agent_exit.h"
#include "observer/base/event_loop.h"
#include "observer/base/metrics.h"

#define RESOLVER_SUCCESSES  ((size_t)4096)
#define RESOLVER_AGENTS_MAX ((size_t)16384)
#define RESOLVER_QUEUE_MAX  ((size_t)1024)
#define RESOLVER_GIVE_UP    (INT64_C(600) * SECOND)

struct success;
struct resolution;
struct record_listener;

struct resolver {
	struct event_loop *loop;
	struct observer_metrics *metrics;
	const struct record_listener *listener; /* NULL: nobody; the caller sets it */
	bool leader;
	struct success *successes;
	uint64_t *agents; /* that have open records; sorted */
	size_t agent_count;
	size_t agent_size;
	struct resolution *first; /* the one that is being worked on */
	struct resolution *last;
	size_t count;
	size_t patching; /* requests in flight */
	size_t stale;    /* of these, from before the leadership changed */
	struct request *request;
	struct timer timer;
};

bool resolver_init(struct resolver *resolver, struct event_loop *loop,
                   struct observer_metrics *metrics);
void resolver_free(struct resolver *resolver);
void resolver_set_leader(struct resolver *resolver, bool leader);

/* A run of that agent succeeded; times since 1970. It may be given more than once. */
void resolver_add_success(struct resolver *resolver, const char *namespace, const char *identity,
                          int64_t started_at, int64_t finished_at);

/* There is a record of that agent that is not resolved, about a run that had ended then. */
void resolver_add_record(struct resolver *resolver, const char *namespace, const char *identity,
                         int64_t ended_at);

#endif
