/*
 * uninjected_pods: reports pods that run without the watchdog that a rule wants for them:
 * a gauge by namespace and reason, and one Event for each owner. No I/O of its own: requests to the
 * event loop.
 *
 * Events are the leader's, at most UNINJECTED_EVENTS_BURST at once and one a second in the long
 * run. An Event's name follows from the uid of the owner (of the pod, where it has none), so that
 * sending it again creates no other; the last UNINJECTED_OWNERS are remembered and not sent again.
 * Nothing depends on them: terminations are recorded whether they were sent or not.
 */
#ifndef LASTWORD_OBSERVER_AUDIT_UNINJECTED_PODS_H
#define LASTWORD_OBSERVER_AUDIT_UNINJECTED_PODS_H

#include <stdbool.h>
#include <stdint.h>

#include "observer/audit/injection_policy.h"
#include "observer/base/event_loop.h"
#include "observer/base/metrics.h"
#include "observer/pod/termination.h"

#define UNINJECTED_OWNERS       1024
#define UNINJECTED_EVENTS_BURST 20

struct uninjected_pods {
	struct event_loop *loop;
	struct observer_metrics *metrics;
	uint64_t owners[UNINJECTED_OWNERS]; /* hashes of their uids, at hash % UNINJECTED_OWNERS */
	int64_t paid_until;                 /* each Event costs a second, the burst is on credit */
};

void uninjected_pods_init(struct uninjected_pods *pods, struct event_loop *loop,
                          struct observer_metrics *metrics);

/* A pod of that namespace has changed from one reason to another. */
void uninjected_pods_count(struct uninjected_pods *pods, const char *namespace,
                           enum uninjected_reason from, enum uninjected_reason to);

/* An Event about the pod, unless its owner had one. facts: of the pod, for any container of it.
 * False: not now, too many were sent. */
bool uninjected_pods_send_event(struct uninjected_pods *pods, const struct termination *facts,
                                enum uninjected_reason reason);

#endif
