/*
 * record_gc: deletes records that are too old, or too many in their namespace. No I/O of its own:
 * requests to the event loop.
 *
 * The leader lists the metadata of all records (or of one namespace's) every RECORD_GC_INTERVAL, in
 * pages, in the API server's order (by namespace). Of each namespace the newest `cap` records are
 * remembered, so memory is bounded by the cap, however many there are; what is older than `ttl`, or
 * is displaced by newer ones, is deleted. The next page is requested when the deletions of this one
 * are done.
 *
 * The first complete pass of a new leader lists whole records, in smaller pages, and gives each one
 * that stays to found(): so the leader learns what the records of others say. record_gc_reread()
 * asks for another such pass.
 */
#ifndef LASTWORD_OBSERVER_RECORD_RECORD_GC_H
#define LASTWORD_OBSERVER_RECORD_RECORD_GC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/kube/agent_exit.h"
#include "observer/base/event_loop.h"
#include "observer/base/metrics.h"

#define RECORD_GC_INTERVAL (INT64_C(600) * SECOND)
#define RECORD_GC_CAP_MAX  100000

struct kept_record {
	int64_t created_at;
	char *name;
};

struct record_gc {
	struct event_loop *loop;
	struct observer_metrics *metrics;
	int64_t ttl;      /* nanoseconds */
	size_t cap;       /* records in a namespace */
	const char *only; /* the namespace whose records are listed; NULL: all */
	void (*found)(void *context, const struct agent_exit *exit);
	void *context;
	bool leader;
	bool knows;  /* the first pass as the leader is complete */
	bool reread; /* another such pass is wanted, after the one that runs */
	char namespace[64];
	struct kept_record *kept; /* of that namespace; a heap with the oldest first */
	size_t kept_count;
	size_t kept_size;
	char *next_page;
	bool failed; /* of this page */
	size_t deleting;
	struct request *request;
	struct timer timer;
};

void record_gc_init(struct record_gc *gc, struct event_loop *loop, struct observer_metrics *metrics,
                    const char *only, int64_t ttl, size_t cap,
                    void (*found)(void *context, const struct agent_exit *exit), void *context);
void record_gc_set_leader(struct record_gc *gc, bool leader);
/* Gives all records to found() again: the next pass, which begins at once, is like a first one. */
void record_gc_reread(struct record_gc *gc);
void record_gc_free(struct record_gc *gc);

#endif
