/*
 * log_follower: reads logs of pods that are being deleted, as they are written. No I/O of its own:
 * requests to the event loop.
 *
 * After the deletionTimestamp the kubelet publishes nothing until all containers have stopped, and
 * then the logs are deleted with the object: only a reader that is already there gets the end of
 * them. So as soon as a deletion is seen these logs are followed:
 *  - the watchdog's, one for each pod that has a watchdog with an agent that runs; the last report
 *    about each agent's termination is kept with the cached agent;
 *  - an agent's own, one for each running agent that no watchdog watches; its last bytes are kept
 *    in a log_buffer, and with the cached agent when the follower ends.
 *
 * States of a follower:
 *   WAITING   for one of the LOG_FOLLOWERS_MAX places, since each holds a connection
 *   OPEN      the log is being read, or its connection is to be made again
 *   YIELDING  it gives way, at the event loop's next turn
 * It ends with the log; when its connection or the kubelet's reading has failed LOG_READER_ATTEMPTS
 * times; LOG_FOLLOWER_EXTRA_TIME after the grace period, of which at most LOG_FOLLOWER_TIME_MAX
 * counts; when it has given way; when it is waiting and the termination is there.
 *
 * Who gives way while one is waiting: of those that have received nothing for LOG_FOLLOWER_QUIET
 * the one that has been quiet for longest, and before all others one that has never received
 * anything. So of many pods that are deleted at once each agent's log is read at least once as far
 * as it goes, and only what comes later can be missed: the evidence then looks whether the log is
 * still there, else takes what was read. A watchdog is quiet until its agent ends, and what it says
 * then is all that is wanted: it gives way only after LOG_FOLLOWER_QUIET_WATCHDOG.
 *
 * Places are shared by the namespaces: the next place is of the namespace that has the fewest; a
 * follower gives way, by being quiet, only to its own namespace or to one that has fewer places
 * than its own; and where a namespace has two places less than the one with the most, one of that
 * one's gives way however much it receives. So whoever deletes many pods with long grace periods
 * takes the places that nobody else needs. The queue and what is kept are shared, too.
 *
 * Invariants:
 *  - At most LOG_FOLLOWERS_MAX are OPEN, and LOG_FOLLOWERS_WAITING_MAX are WAITING; further ones do
 *    not begin. Those, who gave way, and who never had a place are counted in `dropped`.
 *  - What was read of a log is only replaced by what was read of it later, never by nothing.
 *  - A kubelet's error text is no part of what is kept (log_error.h).
 *  - complete is said only where the log's end was seen: the stream ended well, and no error text
 *    was at its end.
 *  - Of each agent's own log that was to be followed, what was read is there, or it was empty, or
 *    log_follower_missed() says why not.
 *  - Memory: the followers' buffers, and LOG_FOLLOWED_BYTES_MAX of what was read and nobody has
 *    taken yet; beyond it nothing is kept, and the evidence reads the log as if it had not been
 *    followed.
 */
#ifndef LASTWORD_OBSERVER_EVIDENCE_LOG_FOLLOWER_H
#define LASTWORD_OBSERVER_EVIDENCE_LOG_FOLLOWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/base/event_loop.h"
#include "observer/evidence/log_buffer.h"
#include "observer/pod/pod_cache.h"

#define LOG_FOLLOWERS_MAX         128
#define LOG_FOLLOWERS_WAITING_MAX 4096
#define LOG_FOLLOWER_QUIET        SECOND
/* Kubernetes' default grace period. */
#define LOG_FOLLOWER_QUIET_WATCHDOG (30 * SECOND)
#define LOG_FOLLOWER_EXTRA_TIME     (10 * SECOND)
#define LOG_FOLLOWER_TIME_MAX       (600 * SECOND)
#define LOG_FOLLOWED_BYTES_MAX      ((size_t)4 * 1024 * 1024)

/* Why nothing is there of a log that was to be followed. */
enum log_missed {
	LOG_NOT_MISSED,
	LOG_MISSED_TOO_MANY, /* others were followed, or kept, instead */
	LOG_MISSED_REFUSED,  /* the kubelet or the API server did not give it */
	LOG_MISSED_LATE,     /* nobody responded in time */
};

/* The oldest is first. */
struct log_follower_list {
	struct log_follower *first;
	struct log_follower *last;
	size_t count;
};

struct log_followers {
	struct event_loop *loop;
	struct log_follower_list waiting;
	struct log_follower_list open; /* YIELDING ones, too */
	size_t yielding;
	struct timer retry; /* while one is waiting */
	uint64_t begun;     /* ever */
	uint64_t dropped;   /* ever */
	/* By namespace: OPEN ones, WAITING ones, and the bytes of what was read and not taken yet.
	 */
	struct fair_share places;
	struct fair_share queue;
	struct fair_share kept;
	/* A follower has ended: what it read is there. */
	void (*ended)(void *context, struct cached_pod *pod);
	void *context;
};

void log_followers_init(struct log_followers *followers, struct event_loop *loop,
                        void (*ended)(void *context, struct cached_pod *pod), void *context);
/* Before the pod cache is freed, and with it what the followers have kept. */
void log_followers_free(struct log_followers *followers);

/* Follows what is to be followed of the pod. grace: what is left of its grace period, nanoseconds.
 * Each log once; to be called again when further agents run. */
void log_follower_start(struct log_followers *followers, struct cached_pod *pod, int64_t grace);

/* A log that may tell of the agent's termination is still being read. */
bool log_follower_is_open(struct cached_pod *pod, const struct termination *termination);

/* The report about the termination that was read, or NULL; the cached agent's. */
const struct cached_log *log_follower_report(struct cached_pod *pod,
                                             const struct termination *termination);

/* The end of the agent's own log, as far as it was read, the caller's from now on. *ret_complete:
 * there is no more of it. Logs of earlier containers (termination.previous) were not followed. */
struct log_text log_follower_take_log(struct cached_pod *pod, const struct termination *termination,
                                      bool *ret_complete);

/* Why that one gave nothing: "too-many", "refused", "late". NULL: it was empty, or was not to be
 * followed. */
const char *log_follower_missed(struct cached_pod *pod, const struct termination *termination);

#endif
