/*
 * engine: what drives the observer: time, chance, timers and requests. No I/O.
 *
 * The observer is one thread and a set of machines (watcher, cases, follows, lease, retention).
 * They neither read clocks nor sockets: they set timers and add requests, and are called back. The
 * edge (edge.c) carries the requests over lib/kube/client and says what time it is; the tests carry
 * them to a server of their own and let time pass as they like. So the same inputs give the same
 * outputs, request for request.
 *
 * Invariants:
 *  - One thread calls all of this, and everything built on it. What other threads may look at
 *    (metrics, readiness) is atomic and said so there.
 *  - A callback may add and cancel requests and set timers, its own included; but receive() may
 *    cancel nothing (libcurl is at work): it returns false, or sets a timer.
 *  - Every added request is finished exactly once, or cancelled; after that it is gone. A machine
 *    that is freed has cancelled its requests and timers.
 *  - At most `limit` ordinary requests are carried at a time, in the order they were added; urgent
 *    ones (the watch, the lease) and streams that somebody else counts do not wait.
 */
#ifndef LASTWORD_OBSERVER_EVENT_LOOP_H
#define LASTWORD_OBSERVER_EVENT_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/kube/client.h"

/* ---- Timers ---- */

struct timer {
	void (*fire)(void *context);
	void *context;
	int64_t due;     /* as engine.now */
	uint64_t number; /* of those due at once the one set first goes first */
	size_t index; /* in the heap, from 1; 0: not set. Zeroed memory is a timer that is not set
	               */
};

/* ---- Requests ---- */

enum request_rank { REQUEST_ORDINARY, REQUEST_URGENT };

/* error: NULL for success. What lib/kube/client says of the response holds here. */
typedef void request_finish(void *context, struct kube_response *response,
                            const struct error *error);

struct request {
	struct kube_request ask; /* method, content_type, accept: literals; path, body: owned */
	enum request_rank rank;
	kube_receive *receive; /* NULL: the body is in the response */
	request_finish *finish;
	void *context;
	/* engine's */
	struct request *previous;
	struct request *next;
	bool carried;
	void *carrier; /* the edge's handle while it is carried */
};

struct request_list {
	struct request *first;
	struct request *last;
};

struct engine {
	int64_t now;  /* nanoseconds, monotonic */
	int64_t wall; /* nanoseconds since 1970 */
	uint64_t random;
	struct timer **heap;
	size_t heap_count;
	size_t heap_size;
	uint64_t timers_set;
	struct request_list waiting[2]; /* by rank */
	struct request_list carried;
	size_t ordinary; /* carried ones of that rank */
	size_t limit;
	/* Drops a carried request; finish() must not be called for it any more. */
	void (*drop)(void *edge, struct request *request);
	void *edge;
	uint64_t requests; /* taken, ever */
};

void engine_init(struct engine *engine, uint64_t seed, size_t limit);
void engine_free(struct engine *engine);

/* The next number of the seeded sequence (splitmix64). */
uint64_t engine_random(struct engine *engine);

/* Sets or moves a timer. False: no memory, and it is not set. */
bool engine_set_timer(struct engine *engine, struct timer *timer, int64_t due);
void engine_clear_timer(struct engine *engine, struct timer *timer);
/* When the next one is due; INT64_MAX: none is set. */
int64_t engine_next_timer(const struct engine *engine);
/* Fires everything that is due by engine->now, those set meanwhile included. */
void engine_fire(struct engine *engine);

/* Adds a copy of the request; takes over ask.path and ask.body (malloc'ed), also on failure. NULL
 * without memory: finish() is not called. */
struct request *engine_request(struct engine *engine, const struct request *request);
void engine_cancel(struct engine *engine, struct request *request);

/* For the edge: the next request to carry, or NULL; and what comes of it. */
struct request *engine_take(struct engine *engine);
bool engine_receive(struct request *request, const char *bytes, size_t length);
void engine_finish(struct engine *engine, struct request *request, struct kube_response *response,
                   const struct error *error);

/* malloc'ed text; NULL without memory. */
char *engine_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
