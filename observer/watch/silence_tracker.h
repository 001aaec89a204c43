/*
 * silence_tracker: follows the silence (pod/silence) of the pods in the cache: when it is confirmed
 * and when it is over. No I/O of its own.
 *
 * What is remembered of an agent (cached_agent.silence) goes one way: noticed, confirmed, over. A
 * confirmed or over one is given to the silence recorder, which compares it with the record: so
 * after a restart, or whatever watches missed, the next list of pods makes it right again. Silence
 * that a record has, and no pod of the list shows, is the silence recorder's alone.
 *
 * Confirmation waits SILENCE_MARGIN longer, since kubelets report with some delay that a container
 * has ended in the meantime.
 */
#ifndef LASTWORD_OBSERVER_WATCH_SILENCE_TRACKER_H
#define LASTWORD_OBSERVER_WATCH_SILENCE_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/base/event_loop.h"
#include "observer/base/metrics.h"
#include "observer/pod/pod_cache.h"
#include "observer/pod/silence.h"
#include "observer/record/silence_recorder.h"

#define SILENCE_MARGIN SECOND

struct silence_tracker {
	struct event_loop *loop;
	struct observer_metrics *metrics;
	struct silence_recorder *recorder;
	int64_t silent_after; /* nanoseconds */
};

/* An event of the watch: those are the agent's terminations in it. gone: it is the last one. */
void silence_tracker_take(struct silence_tracker *tracker, const struct pod *pod,
                          const struct pod_agent *agent, struct cached_pod *cached_pod,
                          struct cached_agent *cached_agent, const struct termination *terminations,
                          size_t count, bool gone);

/* The silence that began with that run of the container, and was confirmed, is known from the pod:
 * when it is over the recorder gets to know, or did. */
bool silence_tracker_follows(struct cached_pod *pod, const char *container, int64_t restart_count);

/* When silence_tracker_fire() may have to confirm it, since 1970; INT64_MAX: it need not. */
int64_t silence_tracker_due(const struct cached_agent *agent);
void silence_tracker_fire(struct silence_tracker *tracker, struct cached_pod *pod,
                          struct cached_agent *agent);

/* Replaces what is remembered of the pod, under which it counts (cached_pod_set_facts): its agent's
 * name may be another one, since labels change. */
void silence_tracker_set_facts(struct silence_tracker *tracker, struct cached_pod *pod,
                               const struct termination *facts);

/* The pod does not exist any more: what still was silent is over. */
void silence_tracker_gone(struct silence_tracker *tracker, struct cached_pod *pod);

#endif
