/*
 * follow: the watchdogs' logs of pods that are being deleted, read as they are written.
 *
 * From the deletionTimestamp on the kubelet publishes nothing until all containers have stopped,
 * and then the logs go with the object: whoever wants the watchdog's last lines must be reading. A
 * follow ends with the log, with the connection, or FOLLOW_SPARE after the grace period.
 *
 * At most FOLLOWS_MAX at a time, since each holds a connection; further pods are read when their
 * final object comes. A follow that breaks off is begun again a few times. Of each agent the last
 * `end` line is kept, so memory is bounded by FOLLOWS_MAX, and then by the pods whose deaths are
 * open.
 */
#ifndef LASTWORD_OBSERVER_EVIDENCE_LOG_FOLLOWER_H
#define LASTWORD_OBSERVER_EVIDENCE_LOG_FOLLOWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/event_loop.h"
#include "observer/pod/pod_cache.h"

#define FOLLOWS_MAX  128
#define FOLLOW_SPARE (10 * SECOND)

struct follows {
	struct engine *engine;
	struct follow *first;
	size_t count;   /* streams that are open */
	uint64_t begun; /* ever */
	/* A follow has ended: whoever waits for it may look. */
	void (*ended)(void *context, struct live_pod *pod);
	void *context;
};

void follows_init(struct follows *follows, struct engine *engine,
                  void (*ended)(void *context, struct live_pod *pod), void *context);
void follows_free(struct follows *follows);

/* Follows the pod's watchdog until the time (of engine.now). Once for each pod. */
void follow_start(struct follows *follows, struct live_pod *pod, int64_t until);

/* It is still being read. */
bool follow_is_open(const struct live_pod *pod);

/* For live_release(): with the pod's last user its follow goes too. */
void follow_free(struct follow *follow);

/* The line about the end that was read, or NULL; the follow's. */
const char *follow_line(const struct live_pod *pod, const struct end *end);

#endif
