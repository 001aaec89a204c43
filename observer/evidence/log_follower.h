/*
 * log_follower: reads the logs of the watchdogs of pods that are being deleted, as they are
 * written. No I/O of its own: requests to the event loop.
 *
 * After the deletionTimestamp the kubelet publishes nothing until all containers have stopped, and
 * then the logs go with the object: the watchdog's last reports are only had by reading already. A
 * follower ends with the log, with the connection, or LOG_FOLLOWER_EXTRA_TIME after the grace
 * period; a connection that breaks is made again a few times.
 *
 * At most LOG_FOLLOWERS_MAX at a time, since each holds a connection; the logs of further pods are
 * read when their final object comes. The last report about each agent's termination is kept with
 * the cached pod.
 */
#ifndef LASTWORD_OBSERVER_EVIDENCE_LOG_FOLLOWER_H
#define LASTWORD_OBSERVER_EVIDENCE_LOG_FOLLOWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/base/event_loop.h"
#include "observer/pod/pod_cache.h"

#define LOG_FOLLOWERS_MAX       128
#define LOG_FOLLOWER_EXTRA_TIME (10 * SECOND)

struct log_followers {
	struct event_loop *loop;
	struct log_follower *first;
	size_t count;   /* that are open */
	uint64_t begun; /* ever */
	/* A follower has ended: the reports that it read are there. */
	void (*ended)(void *context, struct cached_pod *pod);
	void *context;
};

void log_followers_init(struct log_followers *followers, struct event_loop *loop,
                        void (*ended)(void *context, struct cached_pod *pod), void *context);
void log_followers_free(struct log_followers *followers);

/* Follows the log of the pod's watchdog until that time (of the event loop's monotonic clock). Once
 * for each pod. */
void log_follower_start(struct log_followers *followers, struct cached_pod *pod, int64_t until);

/* The log is still being read. */
bool log_follower_is_open(const struct cached_pod *pod);

/* The report about the termination that was read, or NULL; the cached pod's. */
const char *log_follower_report(struct cached_pod *pod, const struct termination *termination);

#endif
