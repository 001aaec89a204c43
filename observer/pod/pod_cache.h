/*
 * pod_cache: what the observer remembers of the pods that exist. Pure but for memory.
 *
 * Of each pod at most CACHED_POD_MAX bytes, and CACHED_AGENT_MAX for each agent beyond the second:
 * who it is and which runs of its agents are known. Neither the object nor the pod's redaction
 * patterns are kept: texts are redacted before they come here. The cache is bounded by the number
 * of pods that are watched.
 *
 * Invariants:
 *  - `handled` is the highest restart count whose termination was taken up; it only rises. So
 *    however often, in whatever order and from whichever list or watch the same states come, a
 *    termination is taken up once.
 *  - `running` is the restart count that was last seen running and has not terminated, or -1.
 *  - A pod that is removed from the cache lives until its last user has released it.
 */
#ifndef LASTWORD_OBSERVER_POD_POD_CACHE_H
#define LASTWORD_OBSERVER_POD_POD_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/pod/termination.h"
#include "observer/base/event_loop.h"
#include "observer/base/fair_share.h"

#define CACHED_POD_MAX     ((size_t)2048)
#define CACHED_AGENT_MAX   ((size_t)128)
#define CACHED_CONTEXT_MAX ((size_t)256) /* of a pod's context */
#define CACHED_MESSAGE_MAX ((size_t)256) /* of the messages of all its agents */
#define CACHED_REASON_MAX  ((size_t)64)
#define CACHED_NAME_SIZE   64

struct log_follower;
struct running_look;
struct pod_tracker;

/* What is an agent's own in its TERMINATION_NEVER_STARTED; one block, for free(). */
struct cached_never_started {
	int32_t restart_count;
	bool final;
	bool failing;
	bool deletion_requested;
	bool has_reason;
	bool has_message;
	char texts[]; /* reason, NUL, message, NUL */
};

/*
 * What a log_follower has read about an agent, kept until the agent's termination is looked into:
 * where a watchdog watches it the last report about it, else the end of its own log. The bytes are
 * counted in a share of the pod's namespace, which the log holds.
 */
struct cached_log {
	char *bytes;
	size_t length;
	bool cut;
	bool complete;
	struct fair_share *share; /* outlives the cached pods */
	struct fair_holder *holder;
};

/* Silence (pod/silence) that begins with a failure of an agent. */
struct cached_silence {
	int64_t restart_count;
	int64_t failed_at;
	int64_t confirmed_at; /* may be in the future, while it is not silent */
	bool silent;          /* the pod is silent now */
	bool over;            /* the pod was silent */
};

struct cached_agent {
	char name[CACHED_NAME_SIZE];
	int32_t handled;        /* -1: none */
	int32_t running;        /* -1: none */
	int64_t started_at;     /* of the running one */
	int64_t start_deadline; /* when it counts as never started; nanoseconds since 1970;
	                           INT64_MAX: that was taken up */
	struct cached_never_started
	        *never_started;        /* as it was last seen; NULL: it does not apply */
	struct log_follower *follower; /* of the log with its report; NULL: it is not followed */
	struct cached_log *log;        /* NULL: none */
	uint32_t reports_lost;         /* by its watchdog, as far as it was counted */
	bool watched;
	bool followed;                  /* that log is followed, or was */
	unsigned char log_missed;       /* enum log_missed of log_follower.h */
	struct cached_silence *silence; /* NULL: none was noticed */
};

struct cached_pod {
	struct cached_pod *next; /* of the same bucket */
	struct termination
	        *facts;     /* TERMINATION_UNOBSERVED of some agent, for the pod's own part */
	uint32_t users;     /* the cache is one */
	uint32_t list;      /* the number of the last list that it was in */
	int64_t lost_at;    /* it counts as lost with its node; since 1970; INT64_MAX: not */
	struct timer timer; /* the next start_deadline, lost_at or silence */
	struct running_look *look; /* at what its watchdog reports; NULL: none */
	struct pod_tracker *tracker;
	unsigned char uninjected; /* enum uninjected_reason while it lives, as it is counted */
	bool uninjected_reported; /* an Event about it, or about others of its owner, was sent */
	bool gone;                /* it is deleted, and its logs with it */
	uint16_t silent_agents;   /* for which the pod is silent */
	uint16_t agent_count;
	struct cached_agent agents[];
};

struct pod_cache {
	struct cached_pod **buckets;
	size_t bucket_count; /* a power of two */
	size_t count;
};

bool pod_cache_init(struct pod_cache *cache);
/* Pods that have other users are not freed. */
void pod_cache_free(struct pod_cache *cache);

struct cached_pod *pod_cache_find(const struct pod_cache *cache, const char *uid);
/* A new pod of count agents, all unknown; facts is copied. NULL: no memory. */
struct cached_pod *pod_cache_add(struct pod_cache *cache, const struct termination *facts,
                                 size_t count);
/* Replaces what is remembered of the pod; without memory the old facts stay. */
void cached_pod_set_facts(struct cached_pod *pod, const struct termination *facts);
void pod_cache_remove(struct pod_cache *cache, struct cached_pod *pod);

static inline void cached_pod_acquire(struct cached_pod *pod)
{
	pod->users++;
}
void cached_pod_release(struct cached_pod *pod);

/* Keeps the log (bytes and holder are taken over); an earlier one is dropped. */
void cached_agent_keep_log(struct cached_agent *agent, const struct cached_log *log);
/* That one's bytes are the caller's from now on. False: there is none. */
bool cached_agent_take_log(struct cached_agent *agent, struct cached_log *ret_log);

struct cached_agent *cached_pod_find_agent(struct cached_pod *pod, const char *name);

/* The TERMINATION_UNOBSERVED of its agent; the texts are those of pod and agent. */
struct termination cached_pod_unobserved(const struct cached_pod *pod,
                                         const struct cached_agent *agent);

/* Remembers its TERMINATION_NEVER_STARTED, or with NULL that there is none; without memory there
 * is none. */
void cached_pod_set_never_started(struct cached_pod *pod, struct cached_agent *agent,
                                  const struct termination *never_started);
/* That one; the texts are those of pod and agent. It must be there. */
struct termination cached_pod_never_started(const struct cached_pod *pod,
                                            const struct cached_agent *agent);

/* Removes the pods that were not in the list of that number, and gives each to gone(). */
void pod_cache_sweep(struct pod_cache *cache, uint32_t list,
                     void (*gone)(void *context, struct cached_pod *pod), void *context);

#endif
