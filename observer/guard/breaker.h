/*
 * breaker: opens and closes the breakers of namespaces by what is seen of pods: takes reports,
 * changes the ConfigMap by the rules (breaker_rules.h), and notifies. No I/O of its own: requests
 * to the event loop.
 *
 * States:
 *   WAITING  for the timer, or for a report that would change something               → READING
 *   READING  GET the ConfigMap       nothing is to be changed → WAITING; something is → WRITING
 *   WRITING  PATCH it        written, or failed → WAITING; another one wrote (409), → READING
 *
 * Invariants:
 *  - The leader alone reads and writes; others keep reports, so that a new leader has them. One
 *    request at a time.
 *  - A change is made to what was read last, and refused by the API server (409) if that
 *    has changed since: no writer undoes another's change. After a refusal it is read again, and
 *    the reports are judged anew.
 *  - What is in the ConfigMap is all that is remembered: a restart loses nothing.
 *  - A namespace has at most one report of each kind waiting, the latest of the latest trial;
 *    at most BREAKER_PENDING_MAX wait. Those that do not fit come again with their pods' next
 *    events.
 *  - A report of which the state that was read last says that it changes nothing causes no request.
 *
 * What changed is logged and in the metric lastword_breaker_open, whoever changed it; an Event
 * BreakerOpened is sent for what this replica opened: to the pod and its owner, or to the owner
 * that could not create one.
 */
#ifndef LASTWORD_OBSERVER_GUARD_BREAKER_H
#define LASTWORD_OBSERVER_GUARD_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/base/event_loop.h"
#include "observer/base/metrics.h"
#include "observer/guard/breaker_rules.h"
#include "observer/guard/hook_check.h"
#include "observer/pod/pod.h"

#define BREAKER_PENDING_MAX 128
#define BREAKER_INTERVAL    (5 * SECOND) /* between two reads */

struct breaker_options {
	const char *config_map;      /* NAMESPACE/NAME; NULL: there is no breaker */
	int64_t open_for;            /* nanoseconds until an open breaker becomes half-open */
	const char *watch_namespace; /* NULL: all */
};

struct pending_report;

struct breaker {
	struct event_loop *loop;
	struct observer_metrics *metrics;
	struct breaker_place place;
	struct breaker_options options;
	bool leader;
	struct breaker_state state; /* as it was read, or written, last */
	char version[BREAKER_VERSION_SIZE];
	bool known;                /* it was read since this replica leads */
	bool failed;               /* the last read or write did */
	struct breaker_state next; /* that is being written */
	struct pending_report *pending[BREAKER_PENDING_MAX];
	size_t pending_count;
	uint64_t reports; /* ever kept: their numbers */
	uint64_t taken;   /* the highest number that is in `next` */
	struct request *request;
	struct timer timer;
	struct hook_check hooks;
};

/* False: the place is none. The texts of the options outlive the breaker. */
bool breaker_init(struct breaker *breaker, struct event_loop *loop,
                  struct observer_metrics *metrics, const struct breaker_options *options,
                  struct error *error);
void breaker_set_leader(struct breaker *breaker, bool leader);
/* May be called again, and without init() for zeroed memory. */
void breaker_free(struct breaker *breaker);

/* A pod as it is now; gone: it was deleted. Others than lastword's are ignored. */
void breaker_take_pod(struct breaker *breaker, const struct pod *pod, bool gone);

/* The owner of pods that were refused because of lastword's container. */
struct breaker_refusal {
	const char *namespace;
	const char *api_version;
	const char *kind;
	const char *name;
	const char *uid;
	const char *message;
	int64_t at; /* nanoseconds since 1970 */
};
void breaker_take_refusal(struct breaker *breaker, const struct breaker_refusal *refusal);

#endif
