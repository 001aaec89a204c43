/*
 * notification: the Kubernetes Events about one termination, sent to the pod and to its controlling
 * owner, whatever happens to the requests. No I/O of its own: requests to the event loop.
 *
 * The pod's Event is sent first. A receiver that could not be reached is tried again
 * NOTIFICATION_ATTEMPTS times; one that refuses is not. In a storm of similar failures
 * (event_is_allowed()) nothing is sent and both receivers count as Grouped.
 *
 * States: zeroed memory is a notification that is not running; notification_start() runs it until
 * finished() is called or notification_cancel() ends it. What it was given must live so long.
 */
#ifndef LASTWORD_OBSERVER_NOTIFY_NOTIFICATION_H
#define LASTWORD_OBSERVER_NOTIFY_NOTIFICATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/kube/agent_exit.h"
#include "observer/base/event_loop.h"
#include "observer/base/metrics.h"
#include "observer/notify/event.h"
#include "observer/pod/termination.h"

#define NOTIFICATION_ATTEMPTS 8

/* What all notifications share. */
struct notifier {
	struct event_loop *loop;
	struct observer_metrics *metrics;
	struct event_groups groups;
};

/* What became of one receiver. */
struct delivery {
	const char *state; /* AGENT_EXIT_NOTIFICATION_…; NULL: nothing yet */
	int64_t at;        /* nanoseconds since 1970 */
	unsigned attempts;
	char message[160]; /* why it failed; "" else */
};

struct notification {
	struct notifier *notifier; /* NULL: not running */
	const struct termination *termination;
	const char *reason; /* of the Event */
	const char *summary;
	int64_t exit_code;       /* the record's; AGENT_EXIT_UNKNOWN: not known */
	const char *record;      /* its name */
	const char *fingerprint; /* NULL: never grouped */
	struct delivery deliveries[EVENT_TARGETS];
	void (*finished)(void *context);
	void *context;
	/* its own */
	struct request *request;
	struct timer timer;
};

/* Copies *what, of which the caller fills in all but the deliveries and what is its own. finished()
 * is called from the event loop, never from here. */
void notification_start(struct notification *notification, const struct notification *what);
void notification_cancel(struct notification *notification);

/* Fills in the entries of status.notifications, and the Events' names in ids; returns how many. */
size_t notification_list(const struct notification *notification,
                         char ret_ids[EVENT_TARGETS][EVENT_NAME_SIZE],
                         struct agent_exit_notification ret_entries[EVENT_TARGETS]);

#endif
