/*
 * record_writer: writes each record once and sends its notifications, whichever replica does it. No
 * I/O of its own: requests to the event loop.
 *
 * A pending record goes through these stages; a stage that is entered again waits first.
 *
 *   WRITE   POST the record             201 → NOTIFY; 409 → HOLD, then CHECK
 *   HOLD    the failover delay; a replica that becomes the leader ends it              → CHECK
 *           another replica CHECKs early, too, and only to be done: the leader is mostly faster,
 *           and so a sixth of the records is held
 *   CHECK   GET the record              404 → WRITE; without notifications → NOTIFY; else → done
 *   NOTIFY  Events                      → STATUS
 *   STATUS  PATCH status.notifications  → done
 *
 * The leader begins with WRITE, the other replicas with HOLD: they write what is still missing
 * then. A record that a new leader finds without notifications begins with HOLD as well: whoever
 * wrote it may be sending them. The names of records and Events follow from what they are about
 * (lib/kube/agent_exit, notify/event), so it does no harm when two replicas do the same.
 *
 * Invariants:
 *  - Every record that was added is either written by some replica, or printed in this replica's
 *    log: after RECORD_WRITER_GIVE_UP of refusals (403, 404, 422: no permission, no namespace, no
 *    CRD, not valid), or when the program stops (record_writer_print_pending()).
 *  - A server in trouble (no response, 429, 5xx) is never a reason to give up.
 *  - While pending records hold more than RECORD_WRITER_CROWDED, those are given up that have been
 *    refused for longest, of the namespace with the most refused ones. So a namespace whose records
 *    are refused (a ResourceQuota on agentexits, or it is being deleted) does not fill the memory
 *    that all others wait for.
 *  - Every record that was written has its notifications sent, though the replica that wrote it is
 *    gone, and the pod, too: the next leader finds it among all records that it reads when it
 *    begins (record_writer_add_found()). Its owner's uid is not in the record, so that one is not
 *    notified then.
 *  - 409 after an attempt without a response is this replica's own record: it is notified at once.
 *  - `bytes` is the memory of all pending records; while it is high, the caller reads no events.
 */
#ifndef LASTWORD_OBSERVER_RECORD_RECORD_WRITER_H
#define LASTWORD_OBSERVER_RECORD_RECORD_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/kube/agent_exit.h"
#include "observer/pod/termination.h"
#include "observer/base/event_loop.h"
#include "observer/base/fair_share.h"
#include "observer/notify/notification.h"
#include "observer/base/metrics.h"

#define RECORD_WRITER_GIVE_UP (INT64_C(600) * SECOND)
#define RECORD_WRITER_CROWDED ((size_t)12 * 1024 * 1024)

struct pending_record;

/* Who wants to know what becomes of records besides their Events. */
struct record_listener {
	/* The entries, besides those of the Events, with which a record's list of notifications
	 * begins; fills in at most `room`, returns how many. Texts live until the next call. */
	size_t (*list_pending)(void *context, const char *namespace, const char *cause,
	                       struct agent_exit_notification *ret_entries, size_t room);
	/* A record as the API server has returned it after a change, or found it notified. */
	void (*changed)(void *context, const struct agent_exit *exit);
	void *context;
};

/* Calls changed() with the record in that body, if there is one. listener NULL: nobody. */
void record_listener_offer(const struct record_listener *listener, const struct buffer *body);

struct record_writer {
	struct event_loop *loop;
	struct observer_metrics *metrics;
	int64_t failover_delay; /* how long the other replicas wait for the leader's record */
	bool leader;
	struct pending_record *first;
	size_t count;
	size_t bytes;
	struct fair_share refused; /* bytes of the records that were refused, by namespace */
	uint64_t written;          /* by this replica, ever */
	struct notifier notifier;
	const struct record_listener *listener; /* NULL: nobody; the caller sets it */
	/* A record exists that is not resolved, about a run that had ended then (since 1970). */
	void (*recorded)(void *context, const char *namespace, const char *identity,
	                 int64_t ended_at);
	/* There are fewer pending records than before. */
	void (*decreased)(void *context);
	void *context;
};

void record_writer_init(struct record_writer *writer, struct event_loop *loop,
                        struct observer_metrics *metrics, int64_t failover_delay,
                        void (*recorded)(void *context, const char *namespace, const char *identity,
                                         int64_t ended_at),
                        void (*decreased)(void *context), void *context);
void record_writer_free(struct record_writer *writer);

/* Prints the records that are not written yet. */
void record_writer_print_pending(const struct record_writer *writer);

void record_writer_set_leader(struct record_writer *writer, bool leader);

/* Adds a record; copies what it needs. log_missed: why nothing is there of a log that was to be
 * followed, a static text, counted when the record is written; NULL: that is not so. False: no
 * memory. */
bool record_writer_add(struct record_writer *writer, const struct termination *termination,
                       const struct agent_exit *exit, const char *log_missed);

/* The record exists already (object: as the API server returned it): its notifications are sent if
 * none were. False: no memory. */
bool record_writer_add_written(struct record_writer *writer, const struct termination *termination,
                               const json *object);

/* For the leader. A record of which nothing is known here: its notifications are sent if none were.
 * Without memory, or while RECORD_WRITER_CROWDED is exceeded, it is left to the next leader. */
void record_writer_add_found(struct record_writer *writer, const struct agent_exit *exit);

/* The path of the namespace's collection of records, or with a name (may be NULL) of that record
 * and its subresource ("" or "/status"); malloc'ed, NULL without memory. */
char *record_path(const char *namespace, const char *name, const char *subresource);

#endif
