/*
 * receiver_state: the receivers and one receiver. Types alone, for receivers.c, which decides what
 * is due, and sending.c, which sends it; receivers.h describes the states.
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_RECEIVER_STATE_H
#define LASTWORD_OBSERVER_RECEIVER_RECEIVER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/files.h"
#include "lib/base/log.h"
#include "observer/base/event_loop.h"
#include "observer/base/metrics.h"
#include "observer/receiver/open_alerts.h"
#include "observer/receiver/receiver_config.h"
#include "observer/receiver/receiver_queue.h"
#include "observer/receiver/tracked_record.h"

#define RECEIVER_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define RECEIVER_BATCH_MAX ((size_t)256 * 1024) /* of records in a request */
#define RECEIVER_IN_FLIGHT 4 /* requests; one where their order matters (Alertmanager) */
#define RECEIVER_AGE_MAX   (INT64_C(24) * 3600 * SECOND)
/* A record without any notification is undecided: its writer has not come to them, or never will.
 */
#define RECEIVER_UNDECIDED (INT64_C(600) * SECOND)

struct receivers;
struct sending;

struct receiver {
	struct receivers *receivers;
	const struct receiver_settings *settings;
	size_t number;
	struct receiver_queue queue;
	struct receiver_delivery *held; /* of storms */
	size_t held_bytes;
	struct storm *storm;   /* NULL: it gets all */
	struct timer digest;   /* when the first credit allows one */
	struct sending *first; /* in flight */
	unsigned in_flight;
	unsigned failures;     /* in a row */
	int64_t failing_since; /* 0: it is not */
	struct timer retry;    /* set: nothing is sent before */
	bool behind;           /* something did not fit into memory */
	struct log_limit log;
	/* RECEIVER_ALERTMANAGER (alert_refresh.h) */
	struct open_alerts alerts;
	struct request *refresh;
	struct timer refresh_timer;
	size_t refresh_from; /* the next alert to send again */
};

struct receivers {
	struct event_loop *loop;
	struct observer_metrics *metrics;
	struct watched_file file; /* path NULL: there are no receivers */
	struct receiver_config *config;
	struct receiver_config *next; /* waits for what is in flight */
	struct receiver *list;        /* of the configuration */
	size_t count;
	struct tracked_records records;
	bool leader;
	bool stopping;
	int64_t read_at; /* when the records were read last; 0: never */
	struct timer tick;
	/* By what was delivered more may be due of that record. */
	void (*evaluate)(struct receivers *receivers, struct tracked_record *record);
	/* All records should be offered again. */
	void (*reread)(void *context);
	void *context;
};

#endif
