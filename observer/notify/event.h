/*
 * event: Kubernetes Events about ends, and which of them a storm drowns. Pure.
 *
 * An Event's name follows from pod uid, container and run, so telling twice tells once. Storms:
 * of one fingerprint EVENT_BURST are told at once, then one a minute; the others are Grouped (their
 * records say so, and are all there). Fingerprints are remembered in a table of fixed size; one
 * that was pushed out begins anew.
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

enum event_target { EVENT_POD, EVENT_OWNER };

void event_name(const struct end *end, enum event_target target, char ret_name[EVENT_NAME_SIZE]);

struct event_text {
	const char *reason;  /* AgentExit, SilentAgentExit, AgentPodLingers */
	const char *message; /* cut to EVENT_MESSAGE_MAX */
};

/* Appends the Event for a POST. wall: now, nanoseconds since 1970. The owner must be known for
 * EVENT_OWNER. */
void event_write(const struct end *end, enum event_target target, const char *name,
                 const struct event_text *text, int64_t wall, struct buffer *out);

struct event_group {
	uint64_t fingerprint;
	int64_t paid_until; /* each Event costs a minute, EVENT_BURST minutes are on credit */
};

struct event_groups {
	struct event_group groups[EVENT_GROUPS];
};

/* An Event about that fingerprint may be sent now (nanoseconds, monotonic, above 0). */
bool event_may_tell(struct event_groups *groups, const char *fingerprint, int64_t now);

#endif
