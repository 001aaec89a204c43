/*
 * storm: how many notifications about similar failures a receiver gets. Pure.
 *
 * Two credits limit them, each of a namespace: one of the fingerprint, and one of the owner family,
 * which also bounds an agent whose text differs each time. A failure that both credits allow is
 * notified at once. The others wait in a group, and one digest stands for all of them when the
 * credit allows the next notification: STORM_BURST at once, then one each STORM_INTERVAL.
 *
 * Memory: a table of STORM_GROUPS; another key in the same place begins anew, so a table that is
 * made to overflow lets more pass, and forgets nothing that waits (that is the caller's).
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_STORM_H
#define LASTWORD_OBSERVER_RECEIVER_STORM_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/kube/agent_exit.h"

#define STORM_GROUPS          1024
#define STORM_BURST           3
#define STORM_BURST_OF_FAMILY 10
#define STORM_INTERVAL        (300 * SECOND)

struct storm_credit {
	uint64_t key;
	int64_t paid_until; /* each notification costs an interval, a burst of them is on credit */
};

struct storm {
	struct storm_credit credits[STORM_GROUPS];
};

/* The keys of the two credits. */
struct storm_keys {
	uint64_t fingerprint;
	uint64_t family;
};
struct storm_keys storm_keys_of(const struct agent_exit *exit);

/* 0: a notification may be sent now, and is charged; else the key whose credit is used up. now:
 * nanoseconds, monotonic, above 0. */
uint64_t storm_charge(struct storm *storm, const struct storm_keys *keys, int64_t now);
/* A digest is sent: it is charged whatever the credits say. */
void storm_charge_digest(struct storm *storm, const struct storm_keys *keys, int64_t now);
/* When the credit of that key allows a notification again. */
int64_t storm_allows_at(const struct storm *storm, const struct storm_keys *keys, uint64_t key);

#endif
