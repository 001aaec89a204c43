/*
 * event_loop: time, randomness, timers and requests: what drives the observer. No I/O.
 *
 * The observer is one thread and a set of state machines (watcher, evidence, log followers, record
 * writer, lease, record GC). They read neither clocks nor sockets: they set timers and add
 * requests, and are called back. The transport (transport.c) sends the requests with
 * lib/kube/client and sets the clocks; the tests answer the requests themselves and let time pass
 * as they like. So the same inputs give the same outputs, request for request.
 *
 * Invariants:
 *  - One thread calls everything here and everything built on it. What other threads may read
 *    (metrics, readiness) is atomic, and its header says so.
 *  - A callback may add and cancel requests and set timers, its own included; but receive() must
 *    not cancel anything (libcurl is inside a callback): it returns false, or sets a timer.
 *  - Every request that was added is either finished exactly once or cancelled; after that it does
 *    not exist any more. A state machine that is freed has cancelled its requests and timers.
 *  - At most `limit` ordinary requests are in flight at a time; urgent ones (the watch, the lease)
 *    and streams whose number is bounded elsewhere do not wait. The next is of the namespace (as
 *    its path says) that has the fewest in flight, of those the one that was added first. A
 *    namespace alone gets at most three quarters (fair_share_fits()): if its logs do not come, the
 *    others need not wait for its timeouts.
 */
#ifndef LASTWORD_OBSERVER_BASE_EVENT_LOOP_H
#define LASTWORD_OBSERVER_BASE_EVENT_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/kube/client.h"
#include "observer/base/fair_share.h"
#include "observer/base/wall_clock.h"

/* ---- Timers ---- */

struct timer {
	void (*fire)(void *context);
	void *context;
	int64_t due;     /* on the clock of event_loop.now */
	uint64_t number; /* of timers due at the same time the one that was set first fires first */
	size_t index; /* in the heap, from 1; 0: not set. Zeroed memory is a timer that is not set
	               */
};

/* ---- Requests ---- */

enum request_priority { REQUEST_ORDINARY, REQUEST_URGENT };

/* What a request to another server than the API server needs; all of it may be secret, and is wiped
 * when it is freed. */
#define OUTSIDE_HEADERS_MAX 24
struct outside {
	char *headers[OUTSIDE_HEADERS_MAX + 1]; /* lines "Name: value" up to a NULL */
	char *ca_file;                          /* NULL: the system's CAs */
};
void outside_free(struct outside *outside);

/* error: NULL for success. The response is as lib/kube/client describes it. */
typedef void request_finish(void *context, struct kube_response *response,
                            const struct error *error);

struct request {
	struct kube_request kube; /* method, content_type, accept: literals; path, body: owned */
	/* Owned. Set: kube.path is the URL, on another server; the priority must be REQUEST_URGENT,
	 * of the response there are only status and retry_after. NULL: the API server. */
	struct outside *outside;
	enum request_priority priority;
	kube_receive *receive; /* NULL: the body is in the response */
	request_finish *finish;
	void *context;
	/* the event loop's own */
	struct request *previous;
	struct request *next;
	struct fair_holder *holder; /* the namespace; NULL: it is urgent */
	bool in_flight;
	void *operation; /* the transport's handle while it is in flight */
};

struct request_list {
	struct request *first;
	struct request *last;
};

struct event_loop {
	int64_t now;  /* nanoseconds, monotonic */
	int64_t wall; /* nanoseconds since 1970 */
	uint64_t random;
	struct timer **heap;
	size_t heap_count;
	size_t heap_size;
	uint64_t timers_set;
	struct request_list waiting[2]; /* by priority */
	struct request_list in_flight;
	struct fair_share share; /* of the ordinary requests in flight, by namespace */
	size_t limit;
	/* Aborts a request that is in flight; the transport must not finish it any more. */
	void (*cancel)(void *transport, struct request *request);
	void *transport;
	struct wall_clock wall_clock; /* the transport's: gives `wall` */
	uint64_t requests;            /* that were sent, ever */
};

void event_loop_init(struct event_loop *loop, uint64_t seed, size_t limit);
void event_loop_free(struct event_loop *loop);

/* The next number of the seeded sequence (splitmix64). */
uint64_t event_loop_random(struct event_loop *loop);

/* Sets or moves a timer. False: no memory, and it is not set. */
bool event_loop_set_timer(struct event_loop *loop, struct timer *timer, int64_t due);
void event_loop_clear_timer(struct event_loop *loop, struct timer *timer);
/* When the next timer is due; INT64_MAX: none is set. */
int64_t event_loop_next_timer(const struct event_loop *loop);
/* Fires all timers that are due by event_loop.now, those that are set meanwhile included. */
void event_loop_fire_timers(struct event_loop *loop);

/* Adds a copy of the request; takes over kube.path, kube.body and outside (malloc'ed), also on
 * failure. NULL without memory, also for path or body: a POST, PUT or PATCH has one. finish() is
 * not called then. */
struct request *event_loop_add_request(struct event_loop *loop, const struct request *request);
void event_loop_cancel_request(struct event_loop *loop, struct request *request);

/* For the transport: the next request to send, or NULL; and what comes back. */
struct request *event_loop_next_request(struct event_loop *loop);
bool event_loop_receive(struct request *request, const char *bytes, size_t length);
void event_loop_finish_request(struct event_loop *loop, struct request *request,
                               struct kube_response *response, const struct error *error);

/* The path of a request, malloc'ed; NULL without memory. */
char *request_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
