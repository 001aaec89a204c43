/*
 * event: Kubernetes Events about terminations, and a limit on how many similar ones are sent. Pure.
 *
 * An Event's name is made of the pod's uid, the container and its restart count, so sending it
 * twice creates it once. Storms: of one fingerprint in one namespace EVENT_BURST Events are sent at
 * once, then one a minute; the other terminations are Grouped, which their records say. They are
 * remembered in a table of fixed size; what another has displaced begins anew. A fingerprint that a
 * tenant guesses and forges counts in his own namespace alone.
 */
#ifndef LASTWORD_OBSERVER_NOTIFY_EVENT_H
#define LASTWORD_OBSERVER_NOTIFY_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/pod/termination.h"

struct buffer;

#define EVENT_BURST       10
#define EVENT_GROUPS      1024
#define EVENT_NAME_SIZE   254
#define EVENT_MESSAGE_MAX ((size_t)1024) /* the API server refuses more */

#define EVENT_REASON_EXIT   "AgentExit"
#define EVENT_REASON_SILENT "SilentAgentExit"

enum event_target { EVENT_POD, EVENT_OWNER, EVENT_TARGETS };

/* reason: EVENT_REASON_… */
void event_name(const struct termination *termination, const char *reason, enum event_target target,
                char ret_name[EVENT_NAME_SIZE]);

struct event_text {
	const char *reason;  /* EVENT_REASON_… */
	const char *message; /* cut to EVENT_MESSAGE_MAX */
};

/* Appends the Event for a POST. wall: now, nanoseconds since 1970. The owner must be known for
 * EVENT_OWNER. */
void event_write(const struct termination *termination, enum event_target target, const char *name,
                 const struct event_text *text, int64_t wall, struct buffer *out);

struct event_group {
	char namespace[64];
	uint64_t fingerprint;
	int64_t paid_until; /* each Event costs a minute, EVENT_BURST minutes are on credit */
};

struct event_groups {
	struct event_group groups[EVENT_GROUPS];
};

/* An Event about that fingerprint in that namespace may be sent now (nanoseconds, monotonic, above
 * 0). */
bool event_is_allowed(struct event_groups *groups, const char *namespace, const char *fingerprint,
                      int64_t now);

#endif
