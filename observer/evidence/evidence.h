/*
 * deaths: from an end that was seen to the verdict: the evidence is gathered while it is there.
 * No I/O of its own.
 *
 *   EXISTS  only for pods that went without an end: asked for by name (GET), since one that lost
 *           its label looks like one that was deleted      it lives on → over, no record
 *   CHECK   only for ends found in a list: their record may be there (GET)   it is → over
 *   FOLLOW  the pod's watchdog is being followed: its end is waited for, FOLLOW_WAIT at most
 *   LINE    the watchdog's log: the line about this end                      found → verdict
 *   LOG     the container's own log
 *   LINE    once more after LINE_AGAIN, where a watchdog should have had a line
 *   verdict the record, handed to the publisher; or a success, which the leader counts
 *
 * A pod that is gone has no logs: nothing is asked for it. Both replicas do all this, since logs
 * may be gone when one of them dies; only successes are the leader's alone.
 *
 * Invariants:
 *  - A death that was opened ends in exactly one of: handed to the publisher, counted as a success,
 *    found recorded, or found not to have happened.
 *  - Gathering never fails an end: what cannot be had is left out, the kubelet's word remains.
 */
#ifndef LASTWORD_OBSERVER_EVIDENCE_EVIDENCE_H
#define LASTWORD_OBSERVER_EVIDENCE_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/event_loop.h"
#include "observer/evidence/log_follower.h"
#include "observer/pod/pod_cache.h"
#include "observer/metrics.h"
#include "observer/record/record_writer.h"

struct death;

struct deaths {
	struct engine *engine;
	struct meters *meters;
	struct publisher *publisher;
	struct death *first;
	size_t count;
	uint64_t opened; /* ever */
	/* There are fewer deaths than before. */
	void (*less)(void *context);
	void *context;
};

void deaths_init(struct deaths *deaths, struct engine *engine, struct meters *meters,
                 struct publisher *publisher, void (*less)(void *context), void *context);
void deaths_free(struct deaths *deaths);

/* Takes a copy. listed: it may have happened, and been recorded, long ago. False: no memory. */
bool death_open(struct deaths *deaths, struct live_pod *pod, const struct end *end, bool listed);

/* The pod's follow has ended, or the pod is gone: whoever waits for it goes on. */
void deaths_followed(struct deaths *deaths, struct live_pod *pod);

#endif
