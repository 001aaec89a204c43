/*
 * breaker_rules: how what is seen of pods changes the state of the breaker
 * (lib/kube/breaker_state.h). Pure.
 *
 *   report                        none, CLOSED          OPEN    HALF_OPEN
 *   FAULT    a pod cannot start   OPEN, if it is        -       OPEN, if the pod is its trial
 *                                 younger
 *   REFUSAL  one was refused      OPEN, if that was     -       OPEN, if that was later
 *                                 later
 *   SEEN     a pod exists         -                     -       its trial is named
 *   STARTED  its agent has run    -                     -       CLOSED, if the pod is its trial
 *   GONE     a pod is deleted     -                     -       HALF_OPEN anew, likewise
 *
 *   time                          CLOSED: dropped       OPEN: HALF_OPEN at `until`
 *                                 after                 HALF_OPEN: anew after BREAKER_TRIAL_UNSEEN,
 *                                 BREAKER_CLOSED_KEPT   or with a trial BREAKER_TRIAL_UNDECIDED
 *
 * A report that was taken once changes nothing when it comes again, but for a pod's that could not
 * start twice: so it may come as often as pods are listed, and from any replica.
 */
#ifndef LASTWORD_OBSERVER_GUARD_BREAKER_RULES_H
#define LASTWORD_OBSERVER_GUARD_BREAKER_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/kube/breaker_state.h"

/* Longer than what happens to a pod counts (INJECTION_FAULT_AGE_MAX). */
#define BREAKER_CLOSED_KEPT     (INT64_C(7200) * SECOND)
#define BREAKER_TRIAL_UNSEEN    (INT64_C(300) * SECOND)
#define BREAKER_TRIAL_UNDECIDED (INT64_C(1800) * SECOND)

enum breaker_report_kind {
	BREAKER_FAULT,
	BREAKER_REFUSAL,
	BREAKER_SEEN,
	BREAKER_STARTED,
	BREAKER_GONE
};

struct breaker_report {
	enum breaker_report_kind kind;
	const char *namespace;
	int64_t at;    /* when the pod was created, or refused; nanoseconds since 1970 */
	int64_t trial; /* the pod's trial; 0: it is of none */
	struct breaker_cause cause; /* of FAULT and REFUSAL; of the others the pod alone */
};

/* True: the state has changed. open_for: nanoseconds. */
bool breaker_rules_take(struct breaker_state *state, const struct breaker_report *report,
                        int64_t now, int64_t open_for);

/* Does what is due by time alone: of the entry of that namespace; NULL: of all. True: the state has
 * changed. */
bool breaker_rules_advance(struct breaker_state *state, const char *namespace, int64_t now);

#endif
