/*
 * policy: decides what is done to a pod, and why: makes a plan (plan.h) from the request and the
 * configuration. mutate.h makes the patch from the plan, record.h the decision record. Pure: no
 * I/O, no clock.
 *
 * Invariants (tests/blackbox/test_policy.py, test_reviews.py, test_random_pods.py):
 * - plan.reason != REASON_APPLIED: the pod stays as it is.
 * - A container is wrapped only when its whole command line is known.
 * - plan.watchdog exactly when at least one container is wrapped now or was before.
 * - The plan follows from the pod's fields: a plan for the patched pod changes nothing.
 * - An annotation with a bad value means the default and a warning, never a refusal.
 */
#ifndef LASTWORD_WEBHOOK_POLICY_H
#define LASTWORD_WEBHOOK_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/document/json.h"
#include "webhook/config.h"
#include "webhook/plan.h"

/* A pod with more than these is not changed (REASON_TOO_LARGE), so that the work stays bounded. */
#define POLICY_CONTAINERS_MAX 200
#define POLICY_AGENTS_MAX     50
#define POLICY_VOLUMES_MAX    500
#define POLICY_MOUNTS_MAX     250 /* and devices, of one container */

/* False only when the arena is full. */
bool policy_decide(const struct policy_input *input, struct arena *arena, struct plan *ret_plan);

#endif
