/*
 * failed_creates: follows the Events FailedCreate of owners (Jobs, ReplicaSets, StatefulSets …) by
 * one watch, and gives those to the breaker that are about lastword's container (guard/refusal.h):
 * a pod that is refused leaves no other trace. No I/O of its own: requests to the event loop.
 *
 * Only what happened within FAILED_CREATE_AGE_MAX counts, and, where the configuration is known,
 * only in namespaces that are opted in.
 */
#ifndef LASTWORD_OBSERVER_WATCH_FAILED_CREATES_H
#define LASTWORD_OBSERVER_WATCH_FAILED_CREATES_H

#include <stdbool.h>
#include <stdint.h>

#include "observer/audit/injection_policy.h"
#include "observer/guard/breaker.h"
#include "observer/watch/opted_in_namespaces.h"
#include "observer/watch/watcher.h"

#define FAILED_CREATE_AGE_MAX (300 * SECOND)

struct failed_creates {
	struct event_loop *loop;
	struct breaker *breaker;
	const struct injection_policy *policy; /* NULL: the configuration is not known */
	const struct opted_in_namespaces *namespaces;
	char path[300];
	struct watcher watcher;
};

/* namespace: only Events of this one; NULL: of all. What is pointed to must outlive creates. */
bool failed_creates_init(struct failed_creates *creates, struct event_loop *loop,
                         struct breaker *breaker, const struct injection_policy *policy,
                         const struct opted_in_namespaces *namespaces, const char *namespace,
                         int64_t idle);
void failed_creates_start(struct failed_creates *creates);
/* May be called again, and without init() for zeroed memory. */
void failed_creates_free(struct failed_creates *creates);

#endif
