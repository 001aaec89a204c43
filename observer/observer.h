/*
 * observer: all machines together. No I/O: main.c gives it an edge, the tests another.
 *
 *   watcher  →  tracker  →  deaths  →  publisher          collector
 *   (pods)      (live)      (logs, follows)  (records)     (old records)
 *                              lease: who leads
 *
 * Back-pressure: while more than OBSERVER_DEATHS_MAX ends are being looked into, or publications
 * hold more than OBSERVER_BYTES_MAX, the watcher reads no more; what happens meanwhile is in the
 * pods, and the watch goes on from where it stopped.
 *
 * Threads: one calls everything here, but for observer_is_ready(), which any may call.
 */
#ifndef LASTWORD_OBSERVER_OBSERVER_H
#define LASTWORD_OBSERVER_OBSERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/record/record_gc.h"
#include "observer/evidence/evidence.h"
#include "observer/event_loop.h"
#include "observer/evidence/log_follower.h"
#include "observer/lease.h"
#include "observer/metrics.h"
#include "observer/record/record_writer.h"
#include "observer/watch/pod_tracker.h"
#include "observer/watch/watcher.h"

#define OBSERVER_DEATHS_MAX 2000
#define OBSERVER_BYTES_MAX  ((size_t)24 * 1024 * 1024)
#define OBSERVER_REQUESTS   32 /* ordinary ones at a time */

/* Lengths of time in nanoseconds. */
struct observer_options {
	const char *namespace; /* of the Lease */
	const char *lease;
	const char *identity; /* of this replica */
	const char *selector; /* of the pods */
	uint64_t seed;
	int64_t step_in;    /* what others wait for the leader */
	int64_t watch_idle; /* a watch without a byte for so long is dead */
	struct track_options track;
	int64_t record_ttl;
	size_t record_cap; /* in a namespace */
};

/* The values that are in the documentation; namespace and identity are the caller's. */
extern const struct observer_options observer_defaults;

struct observer {
	struct engine engine;
	struct meters *meters;
	struct watcher watcher;
	struct tracker tracker;
	struct deaths deaths;
	struct follows follows;
	struct publisher publisher;
	struct lease lease;
	struct collector collector;
	atomic_bool ready;
};

/* Texts of the options live as long as the observer. It begins at the time given: engine.now and
 * .wall. */
bool observer_init(struct observer *observer, const struct observer_options *options, int64_t now,
                   int64_t wall, struct error *error);
void observer_start(struct observer *observer);
/* Time has passed: what is due happens. */
void observer_advance(struct observer *observer, int64_t now, int64_t wall);
/* The first list of pods was complete. */
bool observer_is_ready(struct observer *observer);
/* Nothing is left to do but to watch. */
bool observer_is_idle(const struct observer *observer);
/* The end of watching: it is not ready any more, what is open goes on. */
void observer_stop(struct observer *observer);
/* Nothing is open that waits for this replica: only the leader's ends and records do. */
bool observer_is_drained(const struct observer *observer);
/* The meters that are plain numbers get the values of now. */
void observer_measure(struct observer *observer);
void observer_free(struct observer *observer);

#endif
