/*
 * track: from pods as the watcher brings them to deaths that are opened. No I/O of its own.
 *
 * Every event is the whole truth about its pod at some version; versions come in order, some twice,
 * some never. What follows from an event depends only on it and on what is remembered (live.h):
 *   a run ended, in state or lastState                   a death, once for each run
 *   the pod is gone, or over, and a run that was seen
 *     running has no end; the node is lost               a death that nobody saw (END_UNSEEN)
 *   it never ran: at once where the pod is over, else
 *     when end_patience is at its end; or it is deleted
 *     while something is wrong                           a death (END_NEVER_STARTED)
 *   its deletion was asked for while an agent runs       its watchdog's log is followed
 *   all agents have had their last end, something else
 *     runs on for `linger`                               an Event, once, and a gauge
 */
#ifndef LASTWORD_OBSERVER_WATCH_POD_TRACKER_H
#define LASTWORD_OBSERVER_WATCH_POD_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/evidence/evidence.h"
#include "observer/pod/termination.h"
#include "observer/evidence/log_follower.h"
#include "observer/pod/pod_cache.h"
#include "observer/metrics.h"
#include "observer/watch/watcher.h"

struct track_options {
	struct end_patience patience;
	int64_t linger; /* nanoseconds */
};

struct tracker {
	struct engine *engine;
	struct meters *meters;
	struct deaths *deaths;
	struct follows *follows;
	struct track_options options;
	struct live live;
	uint64_t list; /* the number of the present list */
	bool listing;  /* and it is not complete */
	bool fresh;    /* the pod that is being taken was listed and not known */
	size_t lingering;
	struct arena *arena; /* of the event that is being taken */
};

bool tracker_init(struct tracker *tracker, struct engine *engine, struct meters *meters,
                  struct deaths *deaths, struct follows *follows,
                  const struct track_options *options);
void tracker_free(struct tracker *tracker);

/* The watcher's sink. */
void tracker_begin(struct tracker *tracker);
void tracker_take(struct tracker *tracker, enum watch_event event, struct arena *arena,
                  const json *object);
void tracker_complete(struct tracker *tracker);

#endif
