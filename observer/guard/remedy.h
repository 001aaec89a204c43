/*
 * remedy: fails pods that are silent, so that their Jobs and Workflows go on: where the rule that a
 * pod was injected by has onSilentExit: fail-pod. No I/O of its own: requests to the event loop.
 *
 * It begins when the record has the condition Silent (silence_recorder): the evidence is stored,
 * the silence is confirmed and was notified. A pod goes through
 *
 *   READ    GET the pod. It is another one, has ended, is being deleted, its rule does not
 *           ask for it, or its deadline was lowered already                            → done
 *           another of its agents is still at work, or will be                         → READ later
 *   NOTIFY  the Event AgentPodFailed, on the pod                                       → PATCH
 *   PATCH   spec.activeDeadlineSeconds: 1, if the pod has not changed since (409 → READ); the
 *           kubelet then stops its containers, with the grace period, and the pod ends as Failed
 *           with the reason DeadlineExceeded                                           → done
 *
 * Invariants:
 *  - Nothing is done to a pod that was not found silent, or of which an agent has not ended for
 *    good: what is read and what is changed are the same version of the same pod (uid and
 *    resourceVersion).
 *  - It may begin any number of times, by any replica: a pod whose deadline is 1 is left alone.
 *  - Of each pod one at a time; at most REMEDY_PODS_MAX, of which the others are not failed. One
 *    request at a time.
 *  - What the API server refuses is tried REMEDY_ATTEMPTS_MAX times.
 *
 * Whether the rule asks for it is in the webhook's decision record on the pod. Who may change the
 * annotations of a pod can fail that pod by it: he may delete it as well.
 */
#ifndef LASTWORD_OBSERVER_GUARD_REMEDY_H
#define LASTWORD_OBSERVER_GUARD_REMEDY_H

#include <stdbool.h>
#include <stddef.h>

#include "observer/base/event_loop.h"
#include "observer/base/metrics.h"
#include "observer/pod/pod_reader.h"
#include "observer/pod/termination.h"

#define REMEDY_PODS_MAX     256
#define REMEDY_AGAIN        (10 * SECOND)
#define REMEDY_ATTEMPTS_MAX 10

struct remedy_pod;

struct remedy {
	struct event_loop *loop;
	struct observer_metrics *metrics;
	bool enabled; /* else nothing is ever done */
	struct remedy_pod *first;
	size_t count;
	struct remedy_pod *current; /* whose request is under way; NULL: none */
	struct request *request;    /* its PATCH */
	struct pod_reader reader;   /* its READ */
	struct timer timer;
};

void remedy_init(struct remedy *remedy, struct event_loop *loop, struct observer_metrics *metrics,
                 bool enabled);
/* May be called again, and without init() for zeroed memory. */
void remedy_free(struct remedy *remedy);

/* That run of an agent failed, the record says that its pod is silent, and it is. Copies it. */
void remedy_begin(struct remedy *remedy, const struct termination *termination);

#endif
