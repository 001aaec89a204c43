/*
 * end: one end of an agent, as the kubelet tells it or fails to. Pure.
 *
 * A run's number is the kubelet's: restartCount for what is in `state`; restartCount - 1 for what
 * is in `lastState`, but restartCount while `state` waits for the next container. Three kinds:
 *   END_RUN            the kubelet says how the run ended (a StartError is a run too, from 1970)
 *   END_NEVER_STARTED  no run at all, and none will come, or none came for too long
 *   END_UNSEEN         it ran when it was last seen; its pod is gone or lost, and nobody says how
 */
#ifndef LASTWORD_OBSERVER_POD_TERMINATION_H
#define LASTWORD_OBSERVER_POD_TERMINATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/pod/pod.h"

enum end_kind { END_RUN, END_NEVER_STARTED, END_UNSEEN };

/* Texts packed one behind the other, each with its NUL. */
struct texts {
	const char *bytes;
	size_t length;
};

struct end {
	enum end_kind kind;
	/* Texts may be NULL. In a view they belong to the pod's arena, in a copy to the copy. */
	const char *namespace;
	const char *pod;
	const char *uid;
	const char *node;
	const char *container;
	const char *owner_api_version;
	const char *owner_kind;
	const char *owner_name;
	const char *owner_uid;
	const char *agent;      /* for metrics */
	const char *reason;     /* of the container */
	const char *message;    /* of the container, not redacted yet */
	const char *pod_reason; /* of the pod, where it may be why this run ended */
	const char *disruption;
	struct texts context;  /* key, value, key, value … */
	struct texts patterns; /* for redaction */
	int64_t run;
	int64_t started_at; /* nanoseconds since 1970; 0: unknown */
	int64_t finished_at;
	int exit_code;   /* of END_RUN; may be made up */
	bool previous;   /* it is in lastState: a later run came, or will */
	bool final;      /* there will be no other run */
	bool others_run; /* another regular container, not ours, was running when this was seen */
	bool told_to_terminate; /* the pod's deletion had been asked for when it ended */
	bool failing;           /* of END_NEVER_STARTED: something is wrong */
	bool watched;           /* the watchdog should have a line about it */
};

/* The ends that a container's status tells of, the older first; how many (0 to 2). */
size_t end_read(struct arena *arena, const struct pod *pod, const struct pod_agent *agent,
                struct end ret_ends[2]);

/* How long a pod may take to start its agent, in nanoseconds since the kubelet took it. */
struct end_patience {
	int64_t failing; /* something is wrong: an image, a configuration, a failing init container
	                  */
	int64_t waiting; /* nothing is known to be wrong, no init container is at work */
};

/*
 * The container has never run: *ret_end is filled in, and *ret_due is the time (since 1970) from
 * which that counts as its end; 0: at once, the pod is over. False: it runs, ran, or may still
 * start in peace (then *ret_due is untouched).
 */
bool end_never_started(struct arena *arena, const struct pod *pod, const struct pod_agent *agent,
                       const struct end_patience *patience, struct end *ret_end, int64_t *ret_due);

/* It was running, and nobody will say how that ended. */
void end_unseen(struct arena *arena, const struct pod *pod, const struct pod_agent *agent,
                struct end *ret_end);

/* The container's state is running; *ret_run is its number. */
bool end_is_running(const struct pod_agent *agent, int64_t *ret_run);

/* The kubelet knows how it ended. Where it lost the container (ContainerStatusUnknown) it knows
 * that it ended, and makes up a code (137). */
bool end_has_code(const struct end *end);

/* A copy in one block, for free(). context beyond context_max bytes is left out. NULL: no memory.
 */
struct end *end_copy(const struct end *end, size_t context_max);

#endif
