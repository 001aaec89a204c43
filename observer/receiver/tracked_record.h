/*
 * tracked_record: the records whose receivers are being notified, and what became of it, which
 * their status says. No I/O of its own: requests to the event loop.
 *
 * A record is tracked from when it is offered until nothing of it waits any more and its
 * status.notifications are written. It keeps the record's JSON without logTail.
 *
 * The leader alone writes the list status.notifications after the record writer has written it
 * first, so an update has the entries of the Events as they were read, and the others as they are
 * now. Updates wait TRACKED_RECORD_DELAY, so that those of several receivers become one request.
 *
 * What was delivered is remembered for a while after the record is not tracked any more: a copy of
 * the record that is older (a page of a list, a response that was on its way) does not deliver it
 * again.
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_TRACKED_RECORD_H
#define LASTWORD_OBSERVER_RECEIVER_TRACKED_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/document/json.h"
#include "lib/kube/agent_exit.h"
#include "observer/base/event_loop.h"
#include "observer/receiver/receiver_config.h"

#define TRACKED_RECORD_DELAY     SECOND
#define TRACKED_RECORD_POSTPONED (10 * SECOND)
#define TRACKED_RECORD_BUCKETS   4096
#define TRACKED_RECORD_ATTEMPTS  20
#define FINISHED_MAX             65536

struct tracked_records;

/* What became of it at one receiver. */
struct tracked_entry {
	const char *state; /* AGENT_EXIT_NOTIFICATION_…; NULL: as the record says */
	bool waiting;      /* a delivery exists */
	unsigned attempts;
	int64_t at;
	char message[48]; /* why it failed, or waits; "" else */
};

struct tracked_record {
	struct tracked_record *next; /* of its bucket */
	struct tracked_records *records;
	uint64_t hash;
	char namespace[64];
	char name[AGENT_EXIT_NAME_SIZE];
	char *text; /* the record */
	size_t length;
	int64_t created_at; /* since 1970; AGENT_EXIT_UNKNOWN */
	struct tracked_entry entries[RECEIVERS_MAX];
	unsigned users; /* deliveries */
	bool changed;   /* the status has to be written */
	bool postponed; /* because of nothing but an attempt that failed */
	unsigned attempts;
	struct request *request;
	struct timer timer;
};

struct finished_delivery {
	uint64_t hash;
	int64_t at;
};

struct tracked_records {
	struct event_loop *loop;
	const struct receiver_config *config; /* whose receivers the entries are; NULL: none */
	struct tracked_record *buckets[TRACKED_RECORD_BUCKETS];
	size_t count;
	size_t changed; /* records whose status is to be written */
	struct finished_delivery
	        *finished; /* a table of FINISHED_MAX; a new one displaces another */
};

bool tracked_records_init(struct tracked_records *records, struct event_loop *loop);
/* Forgets all, and cancels their requests; the deliveries are the caller's. */
void tracked_records_clear(struct tracked_records *records);
void tracked_records_free(struct tracked_records *records);

struct tracked_record *tracked_record_find(const struct tracked_records *records,
                                           const char *namespace, const char *name);
/* The record as it is now, found or added. NULL: no memory. */
struct tracked_record *tracked_record_set(struct tracked_records *records,
                                          const struct agent_exit *exit);
/* Parses its text; the texts of *ret_exit belong to the arena. */
bool tracked_record_read(const struct tracked_record *record, struct arena *arena,
                         struct agent_exit *ret_exit);
/* One delivery less. */
void tracked_record_release(struct tracked_record *record);
/* Not used and not changed: it is freed. */
void tracked_record_release_unused(struct tracked_record *record);

/* What the receiver has become; message NULL: none. state: a literal. */
void tracked_record_finish(struct tracked_record *record, size_t receiver, const char *state,
                           const char *message);
/* An attempt failed, and it waits for the next one: its status says why, for each such reason once.
 */
void tracked_record_postpone(struct tracked_record *record, size_t receiver, const char *message);
/* Another replica leads now, which knows better: what only says why something waits is not written.
 */
void tracked_records_forget_postponed(struct tracked_records *records);
/* The status has to say what it does not say yet. */
void tracked_record_change(struct tracked_record *record);
/* The notification was delivered to that receiver, or grouped, or failed, since then. */
bool tracked_records_finished_since(const struct tracked_records *records, const char *namespace,
                                    const char *name, size_t receiver, int64_t since);
/* Writes what waits for its delay at once. */
void tracked_records_flush(struct tracked_records *records);

#endif
