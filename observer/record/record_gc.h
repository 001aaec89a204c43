/*
 * collect: deletes records that are too old, or too many in their namespace. No I/O of its own.
 *
 * The leader, every COLLECT_INTERVAL: a paged list of the records' metadata alone, in the API
 * server's order (by namespace). Of each namespace the newest `cap` are remembered, so memory is
 * bounded by the cap, whatever there is; what is older than `ttl`, or pushed out by newer ones, is
 * deleted. The next page is asked for when the deletes of this one are done.
 */
#ifndef LASTWORD_OBSERVER_RECORD_RECORD_GC_H
#define LASTWORD_OBSERVER_RECORD_RECORD_GC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/event_loop.h"
#include "observer/metrics.h"

#define COLLECT_INTERVAL (INT64_C(600) * SECOND)
#define COLLECT_CAP_MAX  100000

struct kept_record {
	int64_t created_at;
	char *name;
};

struct collector {
	struct engine *engine;
	struct meters *meters;
	int64_t ttl; /* nanoseconds */
	size_t cap;  /* records in a namespace */
	bool leader;
	char namespace[64];
	struct kept_record *kept; /* a heap, the oldest first; of that namespace */
	size_t kept_count;
	size_t kept_size;
	char *next_page;
	bool failed; /* of this page */
	size_t deleting;
	struct request *request;
	struct timer timer;
};

void collector_init(struct collector *collector, struct engine *engine, struct meters *meters,
                    int64_t ttl, size_t cap);
void collector_set_leader(struct collector *collector, bool leader);
void collector_free(struct collector *collector);

#endif
