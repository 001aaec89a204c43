/*
 * breaker_table: the state of the breaker (lib/kube/breaker_state.h) as this replica knows it, and
 * which pods it lets through. No I/O, no clock.
 *
 * Bound of a trial: this replica lets one pod through for each time that a namespace became
 * HALF_OPEN, and none once the state names the trial's pod. So of all replicas together at most one
 * pod each gets through, and one more for each replica that is started between a pod's creation and
 * the next read of the state.
 *
 * A state that was never read is empty: pods are wrapped. One that cannot be read any more stays in
 * force.
 *
 * Thread-safe, but for breaker_table_free().
 */
#ifndef LASTWORD_WEBHOOK_BREAKER_TABLE_H
#define LASTWORD_WEBHOOK_BREAKER_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/kube/breaker_state.h"

struct breaker_table;

enum breaker_decision {
	BREAKER_WRAP,  /* the breaker is closed */
	BREAKER_SKIP,  /* it is open: no container may be wrapped */
	BREAKER_TRIAL, /* it is half-open: this one pod is to be wrapped */
};

/* NULL: no memory. */
struct breaker_table *breaker_table_new(void);
/* NULL is fine. */
void breaker_table_free(struct breaker_table *table);

/* Puts a state in force, and takes it over (it is empty afterwards). now: seconds since 1970. */
void breaker_table_set(struct breaker_table *table, struct breaker_state *state, int64_t now);
/* When that was last done; 0: never. */
int64_t breaker_table_read_at(struct breaker_table *table);

/* What the state says of a pod of that namespace that would be wrapped. dry_run: no pod comes of
 * it, so that a trial is not used up: BREAKER_SKIP. *ret_trial is set for BREAKER_TRIAL: the
 * `since` of the entry. */
enum breaker_decision breaker_table_decide(struct breaker_table *table, const char *namespace,
                                           bool dry_run, int64_t *ret_trial);

#endif
