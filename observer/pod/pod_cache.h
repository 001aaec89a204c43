/*
 * live: what is remembered of the pods that exist. Pure but for memory.
 *
 * Of each pod at most LIVE_POD_MAX bytes, and LIVE_AGENT_MAX for each agent beyond the second: who
 * it is and which runs of its agents are known. The objects themselves are not kept, nor the pod's
 * patterns: what is kept is redacted already. The table is bounded by the pods that are watched.
 *
 * Invariants:
 *  - `handled` is the highest run for which a death was opened; it only rises. So however often, in
 *    whatever order and from whichever list or watch the same states come, a run is opened once.
 *  - `running` is the run that was last seen running and is not over, or -1.
 *  - A pod that is removed from the table lives on until its last user lets go of it.
 */
#ifndef LASTWORD_OBSERVER_POD_POD_CACHE_H
#define LASTWORD_OBSERVER_POD_POD_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/pod/termination.h"
#include "observer/event_loop.h"

#define LIVE_POD_MAX     ((size_t)2048)
#define LIVE_AGENT_MAX   ((size_t)128)
#define LIVE_CONTEXT_MAX ((size_t)256) /* of a pod's context */
#define LIVE_MESSAGE_MAX ((size_t)256) /* of the messages of all its agents */
#define LIVE_REASON_MAX  ((size_t)64)
#define LIVE_NAME_SIZE   64

struct follow;
struct tracker;

/* What is an agent's own in its END_NEVER_STARTED; one block, for free(). */
struct live_never {
	int64_t run;
	bool final;
	bool failing;
	bool others_run;
	bool told_to_terminate;
	bool has_reason;
	bool has_message;
	char texts[]; /* reason, NUL, message, NUL */
};

struct live_agent {
	char name[LIVE_NAME_SIZE];
	int64_t handled;    /* -1: none */
	int64_t running;    /* -1: not */
	int64_t started_at; /* of the running one */
	int64_t never_due; /* when it counts as never started; since 1970; INT64_MAX: it was told */
	struct live_never *never; /* as it was last seen; NULL: it does not apply */
	bool watched;
	bool over; /* its last run was final */
};

struct live_pod {
	struct live_pod *next; /* of the same bucket */
	struct end *facts;     /* END_UNSEEN of some agent: all that is the pod's own in it */
	unsigned users;        /* the table is one */
	uint64_t list;         /* the number of the last list that it was in */
	int64_t lost_at;       /* it counts as lost with its node; since 1970; INT64_MAX: not */
	struct timer timer;    /* the next never_due, lost_at, or when it lingers */
	struct follow *follow; /* of its watchdog's log; NULL: none */
	bool followed;         /* there was one */
	bool gone;             /* it is deleted, and its logs with it */
	bool lingers;          /* that was told */
	bool others_run;       /* a regular container, not ours, runs */
	struct tracker *tracker;
	size_t agent_count;
	struct live_agent agents[];
};

struct live {
	struct live_pod **buckets;
	size_t bucket_count; /* a power of two */
	size_t count;
};

bool live_init(struct live *live);
/* Pods that are still used are not freed. */
void live_free(struct live *live);

struct live_pod *live_find(const struct live *live, const char *uid);
/* A new pod of count agents, all unknown; facts is copied. NULL: no memory. */
struct live_pod *live_add(struct live *live, const struct end *facts, size_t count);
/* Replaces what is remembered of the pod; without memory the old facts stay. */
void live_set_facts(struct live_pod *pod, const struct end *facts);
void live_remove(struct live *live, struct live_pod *pod);

static inline void live_use(struct live_pod *pod)
{
	pod->users++;
}
void live_release(struct live_pod *pod);

struct live_agent *live_agent(struct live_pod *pod, const char *name);

/* The END_UNSEEN of its agent, a view into both. */
struct end live_unseen(const struct live_pod *pod, const struct live_agent *agent);

/* Remembers its END_NEVER_STARTED, or with NULL that there is none; without memory likewise. */
void live_set_never(struct live_pod *pod, struct live_agent *agent, const struct end *never);
/* That one, a view into both; it must be there. */
struct end live_never(const struct live_pod *pod, const struct live_agent *agent);

/* The pods that the list of that number did not name: each is removed, then given to gone(). */
void live_sweep(struct live *live, uint64_t list, void (*gone)(void *context, struct live_pod *pod),
                void *context);

#endif
