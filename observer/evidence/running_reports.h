/*
 * running_reports: what watchdogs report of agents that run on: a deadline has passed, or there is
 * no output (onDeadline, onSilence: report). A watchdog talks to nobody, and its log is otherwise
 * read when an agent has ended. So the leader looks into it while the agent runs, at the times at
 * which there may be something. No I/O of its own: requests to the event loop.
 *
 * Of a pod whose decision record says that there may be such reports (pod.h), and in which an agent
 * runs that its watchdog watches, the log is read
 *   a moment after an agent's deadline
 *   as often as its silence-after, at least RUNNING_LOOKS_EVERY_MIN and at most _MAX apart
 * Of each report come an Event on the pod and one on its owner, and a count. An Event's name
 * follows from the report's time, so that sending it again creates no other.
 *
 * Bounds: RUNNING_LOOKS_BURST looks at once, and RUNNING_LOOKS_PER_SECOND in the long run, of all
 * pods; beyond that they come later. RUNNING_EVENTS_MAX reports of one look; the Events of a
 * namespace are limited as those about similar terminations are (event.h), since whoever shares a
 * pod with a watchdog can make it report. Only pods that have such reports cost memory, one block
 * each.
 *
 * Invariant: nothing depends on these Events; the record of the termination says how often the run
 * was silent and when its deadline passed.
 */
#ifndef LASTWORD_OBSERVER_EVIDENCE_RUNNING_REPORTS_H
#define LASTWORD_OBSERVER_EVIDENCE_RUNNING_REPORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "observer/base/event_loop.h"
#include "observer/base/metrics.h"
#include "observer/notify/event.h"
#include "observer/pod/pod.h"
#include "observer/pod/pod_cache.h"

#define RUNNING_LOOKS_EVERY_MIN  (60 * SECOND)
#define RUNNING_LOOKS_EVERY_MAX  (600 * SECOND)
#define RUNNING_LOOKS_BURST      50
#define RUNNING_LOOKS_PER_SECOND 10
#define RUNNING_EVENTS_MAX       4

struct running_reports {
	struct event_loop *loop;
	struct observer_metrics *metrics;
	bool leader;        /* this replica looks */
	int64_t paid_until; /* each look costs its share of a second, the burst is on credit */
	struct running_look *first;
	struct event_groups groups; /* a namespace's Events of one kind are one group */
};

void running_reports_init(struct running_reports *reports, struct event_loop *loop,
                          struct observer_metrics *metrics);
/* Before the event loop is freed. */
void running_reports_free(struct running_reports *reports);
void running_reports_set_leader(struct running_reports *reports, bool leader);

/* The pod has changed: looks begin, go on or end. */
void running_reports_take(struct running_reports *reports, const struct pod *pod,
                          struct cached_pod *cached);
/* The pod is gone, or is not observed any more. */
void running_reports_end(struct cached_pod *cached);

#endif
