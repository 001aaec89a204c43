/*
 * hook_check: finds native watchdogs whose postStart hook hangs. The pod object does not tell that
 * from an image that is being pulled, or a container that waits for its turn; the Event Started
 * does. No I/O of its own: requests to the event loop.
 *
 * A pod whose watchdog may hang (injection_may_hang) is a candidate; after HOOK_CHECK_WAIT its
 * Events Started are listed: one that is HOOK_HANGS old is a hanging hook. Else they are listed
 * again later, HOOK_CHECKS_MAX times.
 *
 * Bounds: HOOK_CANDIDATES_MAX pods; one request at a time, of the leader alone.
 */
#ifndef LASTWORD_OBSERVER_GUARD_HOOK_CHECK_H
#define LASTWORD_OBSERVER_GUARD_HOOK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/base/event_loop.h"
#include "observer/guard/subject.h"

#define HOOK_CANDIDATES_MAX 64
#define HOOK_HANGS          (15 * SECOND)
#define HOOK_CHECK_WAIT     (20 * SECOND)
#define HOOK_CHECKS_MAX     20

struct hook_candidate {
	struct breaker_subject pod;
	int64_t due; /* on the clock of the event loop */
	unsigned checks;
};

struct hook_check {
	struct event_loop *loop;
	bool leader;
	struct hook_candidate candidates[HOOK_CANDIDATES_MAX];
	size_t count;
	char checked[64]; /* the uid of the pod whose Events are being listed */
	struct request *request;
	struct timer timer;
	/* The hook of that pod hangs; it is no candidate any more. */
	void (*hangs)(void *context, const struct breaker_subject *pod);
	void *context;
};

void hook_check_init(struct hook_check *check, struct event_loop *loop,
                     void (*hangs)(void *context, const struct breaker_subject *pod),
                     void *context);
void hook_check_free(struct hook_check *check);
void hook_check_set_leader(struct hook_check *check, bool leader);

/* The pod may hang, or not (any more). */
void hook_check_take(struct hook_check *check, const struct pod *pod, bool may_hang);

#endif
