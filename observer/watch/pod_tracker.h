/*
 * pod_tracker: finds the terminations in the pods that the watcher delivers. No I/O of its own.
 *
 * Every event has the whole pod as it was at some version; versions come in order, some twice, some
 * never. What an event causes depends only on it and on what is remembered of the pod (pod_cache):
 *   a run ended, in state or lastState                   its evidence is gathered, once for a run
 *   the pod is gone, or has ended, while a run that was
 *     seen running has no termination; the node is lost  the same, as TERMINATION_UNOBSERVED
 *   there never was a run, and the pod has ended or its
 *     start timeout is over; or the pod is deleted while
 *     something is wrong                                 the same, as TERMINATION_NEVER_STARTED
 *   the pod's deletion is requested while an agent runs  its watchdog's log is followed
 *   it should have been injected, and was not
 *     (injection_policy)                                 a gauge, an Event for each owner; its
 *                                                        terminations as all others
 *   it cannot start because of lastword, or it is
 *     the trial of a half-open breaker                 breaker
 *   a run succeeded                                      resolver: it may resolve records
 *   an agent has failed for good while other containers
 *     run                                                silence_tracker
 */
#ifndef LASTWORD_OBSERVER_WATCH_POD_TRACKER_H
#define LASTWORD_OBSERVER_WATCH_POD_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/audit/injection_policy.h"
#include "observer/audit/uninjected_pods.h"
#include "observer/evidence/evidence.h"
#include "observer/guard/breaker.h"
#include "observer/pod/termination.h"
#include "observer/evidence/log_follower.h"
#include "observer/evidence/running_reports.h"
#include "observer/pod/pod_cache.h"
#include "observer/base/metrics.h"
#include "observer/watch/opted_in_namespaces.h"
#include "observer/record/resolver.h"
#include "observer/record/silence_recorder.h"
#include "observer/watch/silence_tracker.h"
#include "observer/watch/watcher.h"

struct pod_tracker_options {
	struct start_timeouts start_timeouts;
	int64_t silent_after; /* nanoseconds */
};

/* What the tracker uses; all of it outlives the tracker. */
struct pod_tracker_links {
	struct evidence_gatherer *gatherer;
	struct log_followers *followers;
	struct running_reports *running_reports;
	struct silence_recorder *recorder;
	struct resolver *resolver;
	struct breaker *breaker; /* NULL: nobody looks at how pods start */
	/* NULL: all pods that come are lastword's; else also others come, and it says which count.
	 */
	const struct injection_policy *policy;
	const struct opted_in_namespaces *namespaces;
};

struct pod_tracker {
	struct event_loop *loop;
	struct observer_metrics *metrics;
	struct evidence_gatherer *gatherer;
	struct log_followers *followers;
	struct running_reports *running_reports;
	struct resolver *resolver;
	struct breaker *breaker;
	struct pod_tracker_options options;
	struct silence_tracker silence;
	struct pod_cache cache;
	uint32_t list; /* the number of the latest list */
	bool listing;  /* that list is not complete yet */
	bool fresh;    /* the pod that is being processed was in a list and not in the cache */
	/* NULL: all pods that come are lastword's; else also others come, and it says which count.
	 */
	const struct injection_policy *policy;
	const struct opted_in_namespaces *namespaces;
	struct uninjected_pods uninjected;
	struct arena *arena; /* of the event that is being processed */
};

bool pod_tracker_init(struct pod_tracker *tracker, struct event_loop *loop,
                      struct observer_metrics *metrics, const struct pod_tracker_links *links,
                      const struct pod_tracker_options *options);
void pod_tracker_free(struct pod_tracker *tracker);

/* The watcher's handler. */
void pod_tracker_begin_list(struct pod_tracker *tracker);
void pod_tracker_take(struct pod_tracker *tracker, enum watch_event event, struct arena *arena,
                      const json *object);
void pod_tracker_complete_list(struct pod_tracker *tracker);

#endif
