/*
 * observer: all state machines together. No I/O: main.c connects it to a transport, the tests to
 * one of their own.
 *
 *   watcher  →  pod tracker  →  evidence gatherer      →  record writer
 *   (pods)      (pod cache)     (log readers, followers)  (records, Events)
 *                                                         record GC (old records)
 *                  breaker         (where pods cannot start because of lastword)
 *                               lease: which replica leads
 *
 * Back-pressure: while more than OBSERVER_OPEN_MAX terminations are open, or pending records hold
 * more than OBSERVER_BYTES_MAX, the watcher reads nothing; what happens meanwhile is in the pods,
 * and the watch continues from where it stopped.
 *
 * Threads: one thread calls everything here; observer_is_ready() may be called from any.
 */
#ifndef LASTWORD_OBSERVER_OBSERVER_H
#define LASTWORD_OBSERVER_OBSERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/audit/injection_policy.h"
#include "observer/watch/failed_creates.h"
#include "observer/watch/opted_in_namespaces.h"
#include "observer/record/record_gc.h"
#include "observer/evidence/evidence.h"
#include "observer/base/event_loop.h"
#include "observer/evidence/log_follower.h"
#include "observer/guard/breaker.h"
#include "observer/guard/remedy.h"
#include "observer/lease.h"
#include "observer/base/metrics.h"
#include "observer/record/record_writer.h"
#include "observer/record/resolver.h"
#include "observer/record/silence_recorder.h"
#include "observer/receiver/receivers.h"
#include "observer/watch/pod_tracker.h"
#include "observer/watch/watcher.h"

#define OBSERVER_OPEN_MAX  2000
#define OBSERVER_BYTES_MAX ((size_t)24 * 1024 * 1024)
#define OBSERVER_REQUESTS  42 /* ordinary ones at a time; a namespace alone gets 32 */

/* Durations in nanoseconds. */
struct observer_options {
	const char *namespace; /* of the Lease */
	const char *lease;
	const char *identity;        /* of this replica */
	const char *watch_namespace; /* whose pods and records; NULL: those of all */
	const char *selector;        /* of the pods; NULL: injected ones, with a config all */
	const char *config;          /* the observer's own; NULL: there are no receivers */
	const char *webhook_config; /* the webhook's, for pods that were not injected; NULL: without
	                               them */
	uint64_t seed;
	int64_t failover_delay; /* how long the other replicas wait for the leader's records */
	int64_t watch_idle;     /* a watch without a byte for so long counts as broken */
	struct pod_tracker_options tracker;
	const char *breaker; /* the ConfigMap with its state, NAMESPACE/NAME; NULL: there is none */
	int64_t breaker_open_for; /* until an open breaker becomes half-open */
	bool fail_pods;           /* that are silent, where their rules ask for it */
	int64_t record_ttl;
	size_t record_cap; /* in a namespace */
};

/* The defaults in the documentation; the identity is the caller's. */
extern const struct observer_options observer_defaults;

struct observer {
	struct event_loop loop;
	struct observer_metrics *metrics;
	char pods_path[300];
	struct watcher watcher;
	/* Where there is a config: the watcher starts when the namespaces are known, and lists anew
	 * when they, or the config, have changed. */
	struct opted_in_namespaces namespaces;
	struct injection_policy policy;
	bool watching;
	struct timer watch_start;
	struct pod_tracker tracker;
	struct evidence_gatherer gatherer;
	struct log_followers followers;
	struct running_reports running_reports;
	struct record_writer writer;
	struct silence_recorder silence_recorder;
	struct resolver resolver;
	struct breaker breaker;
	struct remedy remedy;
	struct failed_creates failed_creates; /* where there is a breaker */
	struct lease lease;
	struct record_gc gc;
	struct receivers receivers;
	struct record_listener listener;
	atomic_bool ready;
};

/* The texts of the options must live as long as the observer. now, wall: the clocks of the event
 * loop. */
bool observer_init(struct observer *observer, const struct observer_options *options, int64_t now,
                   int64_t wall, struct error *error);
void observer_start(struct observer *observer);
/* Sets the clocks and fires the timers that are due. */
void observer_advance(struct observer *observer, int64_t now, int64_t wall);
/* Looks whether a configuration has changed. To be called now and then. */
void observer_reload_config(struct observer *observer);
/* The pods are listed, and their list and watch make progress (watcher.h). As of the last
 * observer_advance(). */
bool observer_is_ready(struct observer *observer);
/* Ends the watch: it is not ready any more; what is open goes on. */
void observer_stop(struct observer *observer);
/* Nothing is open that this replica has to finish: another replica finishes what is open here,
 * unless this one leads. */
bool observer_is_drained(const struct observer *observer);
/* Updates the gauges and counters without labels. */
void observer_measure(struct observer *observer);
void observer_free(struct observer *observer);

#endif
