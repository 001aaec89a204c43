/*
 * fair_share: who holds how much of something that all namespaces share (connections, memory, open
 * terminations), so that one tenant cannot take what the others need. Pure but for memory.
 *
 * Two rules, for two kinds of things:
 *   what can be taken back    fair_share_may_displace(): whoever has less than the largest holder
 *                             gets it from him (max-min fairness: one holder alone may have all)
 *   what cannot               fair_share_fits(): nobody may have more than `eagerness` times what
 *                             is free (the dynamic threshold of shared-memory switches, Choudhury
 *                             and Hahne 1998): n greedy holders get eagerness / (eagerness * n + 1)
 *                             of all each, and the rest stays free for whoever comes next
 *
 * Invariants: total is the sum of the holders' amounts; a holder lives while somebody has acquired
 * it. One thread.
 */
#ifndef LASTWORD_OBSERVER_BASE_FAIR_SHARE_H
#define LASTWORD_OBSERVER_BASE_FAIR_SHARE_H

#include <stdbool.h>
#include <stddef.h>

#define FAIR_SHARE_BUCKETS 256

struct fair_holder {
	struct fair_holder *next; /* of the same bucket */
	unsigned users;
	size_t amount;
	char name[];
};

struct fair_share {
	struct fair_holder *buckets[FAIR_SHARE_BUCKETS];
	size_t total;
};

/* Zeroed memory is an empty share. Holders that are still acquired are freed. */
void fair_share_free(struct fair_share *share);

/* The holder of that name; NULL: no memory. To be released. */
struct fair_holder *fair_share_acquire(struct fair_share *share, const char *name);
/* Its amount is given back by then, or others still use it. NULL is fine. */
void fair_share_release(struct fair_share *share, struct fair_holder *holder);

void fair_share_take(struct fair_share *share, struct fair_holder *holder, size_t amount);
void fair_share_give_back(struct fair_share *share, struct fair_holder *holder, size_t amount);

/* The holder with the largest amount; NULL: nobody has anything. */
const struct fair_holder *fair_share_largest(const struct fair_share *share);

/* The largest holder would still have at least as much as this one after it gave amount to it. */
bool fair_share_may_displace(const struct fair_share *share, const struct fair_holder *holder,
                             size_t amount);

/* Whether the holder may have `amount` more of what is limited to capacity in all. */
bool fair_share_fits(const struct fair_share *share, const struct fair_holder *holder,
                     size_t amount, size_t capacity, unsigned eagerness);

#endif
