/*
 * evidence: gathers the evidence about a termination while it still exists, then has the record
 * built and written. No I/O of its own: requests to the event loop.
 *
 *   EXISTS  only for pods that went without a termination: GET the pod, since a pod that lost its
 *           label looks like a deleted one                           it exists → done, no record
 *   CHECK   only for terminations found in a list: GET the record    it exists → done
 *   FOLLOW  the log is being followed, the watchdog's or, of an agent that no watchdog watches,
 *           its own: wait for its end, FOLLOW_WAIT at most (OWN_FOLLOW_WAIT: such a stream ends
 *           with the agent, and a busy kubelet may begin it late)    read to its end → BUILD
 *   REPORT  the watchdog's log: its report about this termination    found → BUILD
 *   LOG     the container's own log; where it is gone, what was followed of it
 *   REPORT  once more after REPORT_AGAIN, where a watchdog should have printed one
 *   BUILD   the record goes to the record writer, with why a log that was to be followed gave
 *           nothing; a success is counted by the leader
 *
 * While more than EVIDENCE_CROWDED are open, those of the namespace with the most of them that are
 * in FOLLOW, REPORT or LOG for longer than EVIDENCE_LOG_WAIT go to BUILD with what there is. So a
 * namespace whose logs do not come (or come without end) does not hold the number that all wait
 * for.
 *
 * A pod that is gone has no logs, so none are requested. Every replica does all this, since the
 * logs may be gone when one of them stops; only successes are left to the leader.
 *
 * Invariants:
 *  - What was begun ends in exactly one of: handed to the record writer, counted as a success,
 *    found recorded, or found not to have happened.
 *  - Missing evidence is never a failure: without any, the record has what the kubelet reports.
 */
#ifndef LASTWORD_OBSERVER_EVIDENCE_EVIDENCE_H
#define LASTWORD_OBSERVER_EVIDENCE_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/base/event_loop.h"
#include "observer/base/fair_share.h"
#include "observer/evidence/log_follower.h"
#include "observer/pod/pod_cache.h"
#include "observer/base/metrics.h"
#include "observer/record/record_writer.h"

#define EVIDENCE_CROWDED  1000
#define EVIDENCE_LOG_WAIT (30 * SECOND)

struct evidence;

struct evidence_gatherer {
	struct event_loop *loop;
	struct observer_metrics *metrics;
	struct record_writer *writer;
	struct evidence *first;
	size_t count;
	struct fair_share open; /* by namespace */
	struct timer crowded;   /* while they are too many */
	uint64_t begun;         /* ever begun */
	/* There are fewer open terminations than before. */
	void (*decreased)(void *context);
	void *context;
};

void evidence_gatherer_init(struct evidence_gatherer *gatherer, struct event_loop *loop,
                            struct observer_metrics *metrics, struct record_writer *writer,
                            void (*decreased)(void *context), void *context);
void evidence_gatherer_free(struct evidence_gatherer *gatherer);

/* Copies the termination. listed: it may have been recorded long ago. False: no memory. */
bool evidence_gather(struct evidence_gatherer *gatherer, struct cached_pod *pod,
                     const struct termination *termination, bool listed);

/* A log of the pod is not followed any more: what waits for that continues. */
void evidence_log_ended(struct evidence_gatherer *gatherer, struct cached_pod *pod);

#endif
