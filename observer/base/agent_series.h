/*
 * agent_series: which pairs of namespace and agent have series in the metrics, and which have to go
 * when there are too many. Pure but for memory.
 *
 * Agents are named by whoever creates pods. All pairs together may have AGENT_SERIES_MAX series. A
 * pair that needs more evicts, of the namespaces with the most series, the pair that has been
 * unused for longest: so a tenant with ever new names evicts his own, and never those of a
 * namespace with fewer.
 *
 * Invariants: a pair that is in use now is not evicted; share.total is the sum of all pairs' series
 * and at most AGENT_SERIES_MAX.
 */
#ifndef LASTWORD_OBSERVER_BASE_AGENT_SERIES_H
#define LASTWORD_OBSERVER_BASE_AGENT_SERIES_H

#include <stddef.h>
#include <stdint.h>

#include "observer/base/fair_share.h"

#define AGENT_SERIES_MAX      4000
#define AGENT_SERIES_NAME_MAX 63 /* bytes of an agent's name; longer ones are cut */

struct agent_pair {
	struct agent_pair *previous; /* used later */
	struct agent_pair *next;     /* used earlier */
	struct fair_holder *holder;  /* of the namespace */
	size_t series;
	unsigned char
	        *seen; /* the user's: bits of what series it has; one byte for each of kinds */
	uint64_t fingerprint; /* the user's: a hash of that of the last failure; 0: none */
	char agent[AGENT_SERIES_NAME_MAX + 1];
};

struct agent_series {
	struct fair_share share;
	struct agent_pair *first; /* the last used */
	struct agent_pair *last;
	size_t kinds;
	/* The pair's series are to be deleted; the pair is gone when it returns. */
	void (*evicted)(void *context, const struct agent_pair *pair);
	void *context;
};

void agent_series_init(struct agent_series *series, size_t kinds,
                       void (*evicted)(void *context, const struct agent_pair *pair),
                       void *context);
void agent_series_free(struct agent_series *series);

/* The pair, which is the last used from now on; a new one has no series. NULL: no memory. */
struct agent_pair *agent_series_use(struct agent_series *series, const char *namespace,
                                    const char *agent);

/* The pair gets `count` more series (a handful); others may be evicted for them. */
void agent_series_add(struct agent_series *series, struct agent_pair *pair, size_t count);

#endif
