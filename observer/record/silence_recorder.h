/*
 * silence_recorder: keeps the condition Silent of records and sends the Event SilentAgentExit. No
 * I/O of its own: requests to the event loop.
 *
 * An update, of which there is one for each record at a time, goes through these stages; a stage
 * that is entered again waits first.
 *
 *   HOLD    the failover delay, where this replica does not lead; a new leader ends it     → READ
 *   LOOK    only for silence that a record has and no pod in the cache shows: GET the pod
 *                       it is over → READ; else LOOK again, every SILENCE_RECORDER_LOOK_AGAIN
 *   READ    GET the record: has it the wanted condition?     yes → done; no → VERIFY or WRITE
 *   VERIFY  only for silence that lasts: GET the pod, since the watch may be late or dead:
 *           is it silent? One at a time (pod_reader).                     no → done; yes → NOTIFY
 *   NOTIFY  the Event                                                                      → WRITE
 *   WRITE   PATCH status.conditions, if the record has not changed since (else READ)       → done
 *
 * Invariants:
 *  - What is wanted follows from the pod alone (pod/silence), so it may be given again at any time
 *    and by every replica: a condition that is there is not written again, and one that says that
 *    the silence is over stays.
 *  - Silence that lasts has its Event before its condition.
 *  - Of silence that was not confirmed after all nothing is written.
 *  - A record that says that its pod is silent comes to say that this is over, whatever observers
 *    have seen: a new leader gives each such record to silence_recorder_check(), unless its
 *    silence_tracker follows that silence, and from then on it is known from the pod and the record
 *    alone. It is over when the pod has ended, does not exist, or has another uid, or when the
 *    agent runs again. So it does not matter what the pod's status has lost since, nor whether the
 *    pod is watched. One pod is read at a time, and each at most every
 *    SILENCE_RECORDER_LOOK_AGAIN; the other replicas read none.
 *  - An update ends when the API server has refused it, or has had no such record, for
 *    SILENCE_RECORDER_GIVE_UP. Updates are bounded by the pods that are silent.
 */
#ifndef LASTWORD_OBSERVER_RECORD_SILENCE_RECORDER_H
#define LASTWORD_OBSERVER_RECORD_SILENCE_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/base/event_loop.h"
#include "observer/base/metrics.h"
#include "observer/notify/notification.h"
#include "observer/pod/pod_reader.h"
#include "observer/pod/silence.h"
#include "observer/pod/termination.h"

#define SILENCE_RECORDER_GIVE_UP    (INT64_C(600) * SECOND)
#define SILENCE_RECORDER_LOOK_AGAIN (30 * SECOND)

struct silence_update;
struct record_listener;

struct silence_recorder {
	struct event_loop *loop;
	struct observer_metrics *metrics;
	int64_t failover_delay;
	int64_t silent_after;
	bool leader;
	struct silence_update *first;
	size_t count;
	const struct record_listener *listener; /* NULL: nobody; the caller sets it */
	/* The record of that run says that its pod is silent, and as far as is known it is; NULL:
	 * nobody. Called again by every replica that looks. The caller sets it. */
	void (*confirmed)(void *context, const struct termination *termination);
	void *confirmed_context;
	struct pod_reader reader;
	struct silence_update *reading; /* whose pod is being read; NULL: none */
	struct notifier notifier;
};

void silence_recorder_init(struct silence_recorder *recorder, struct event_loop *loop,
                           struct observer_metrics *metrics, int64_t failover_delay,
                           int64_t silent_after);
void silence_recorder_free(struct silence_recorder *recorder);
void silence_recorder_set_leader(struct silence_recorder *recorder, bool leader);

/* The record of that termination should say so; it was confirmed. Copies both. False: no memory. */
bool silence_recorder_set(struct silence_recorder *recorder, const struct termination *termination,
                          const struct silence *silence);

/* For the leader. A record of which nothing is known here: where it says that its pod is silent, it
 * is looked at until that is over. */
void silence_recorder_check(struct silence_recorder *recorder, const struct agent_exit *exit);

#endif
