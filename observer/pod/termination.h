/*
 * termination: how one run of an agent's container ended, as far as the pod object says. Pure.
 *
 * Runs are numbered by the kubelet's restart count: restartCount for what is in `state`;
 * restartCount - 1 for what is in `lastState`, but restartCount while `state` waits for the next
 * container. There are three kinds:
 *   TERMINATION_REPORTED       the kubelet reports how the run ended (a StartError is a run, too,
 *                              with a start in 1970)
 *   TERMINATION_NEVER_STARTED  there was no run, and there will be none, or none came in time
 *   TERMINATION_UNOBSERVED     it ran when it was last seen; its pod is gone or lost, and nobody
 *                              will report how it ended
 */
#ifndef LASTWORD_OBSERVER_POD_TERMINATION_H
#define LASTWORD_OBSERVER_POD_TERMINATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/diagnosis/classify.h"
#include "observer/pod/pod.h"

enum termination_kind { TERMINATION_REPORTED, TERMINATION_NEVER_STARTED, TERMINATION_UNOBSERVED };

/* Texts one after the other, each with its NUL. */
struct packed_texts {
	const char *bytes;
	size_t length;
};

struct termination {
	/* Texts may be NULL. They belong to the pod's arena, in a copy to the copy. */
	const char *namespace;
	const char *pod;
	const char *uid;
	const char *node;
	const char *container;
	const char *owner_api_version;
	const char *owner_kind;
	const char *owner_name;
	const char *owner_uid;
	const char *agent;      /* the label in metrics */
	const char *reason;     /* of the container */
	const char *message;    /* of the container; not redacted yet */
	const char *pod_reason; /* of the pod, where it may be why this run ended */
	const char *disruption;
	struct packed_texts context;  /* key, value, key, value … */
	struct packed_texts patterns; /* for redaction */
	struct packed_texts rules;    /* of diagnosis */
	/* Of TERMINATION_REPORTED: the other regular containers, without lastword's own, that ran
	 * when the run ended. By the times in their statuses, so it does not matter when those were
	 * seen. */
	struct packed_texts running;
	int64_t restart_count;
	int64_t started_at; /* nanoseconds since 1970; 0: unknown */
	int64_t finished_at;
	enum termination_kind kind;
	int exit_code;           /* of TERMINATION_REPORTED; see termination_has_exit_code() */
	uint16_t message_limit;  /* bytes the kubelet keeps of a container's message; 0: unknown */
	bool previous;           /* it is in lastState: a later run has started or will */
	bool final;              /* there will be no other run */
	bool deletion_requested; /* the pod's deletion had been requested when it ended */
	bool failing;            /* of TERMINATION_NEVER_STARTED: something is known to be wrong */
	bool watched;            /* the watchdog should have printed a report about it */
};

/* The terminations in a container's status, the older one first; returns how many (0 to 2). */
size_t termination_read(struct arena *arena, const struct pod *pod, const struct pod_agent *agent,
                        struct termination ret_ends[2]);

/* How long a pod may take to start its agent, in nanoseconds since status.startTime. */
struct start_timeouts {
	int64_t failing; /* something is wrong: an image, a configuration, a failing init container
	                  */
	int64_t waiting; /* nothing is known to be wrong, and no init container is running */
};

/*
 * The container has never run: *ret_termination is filled in, and *ret_due is the time (since 1970)
 * from which it counts as never started; 0: at once, since the pod has ended. False: it is running,
 * has run, or may still be about to start (then *ret_due is untouched).
 */
bool termination_never_started(struct arena *arena, const struct pod *pod,
                               const struct pod_agent *agent,
                               const struct start_timeouts *start_timeouts,
                               struct termination *ret_end, int64_t *ret_due);

/* It was running, and nobody will report how that ended. */
void termination_unobserved(struct arena *arena, const struct pod *pod,
                            const struct pod_agent *agent, struct termination *ret_end);

/* The container's state is running. */
bool pod_agent_is_running(const struct pod_agent *agent, int64_t *ret_run);

/* The exit code is the container's own. Where the kubelet lost the container
 * (ContainerStatusUnknown) it knows that it ended, and makes up an exit code (137). */
bool termination_has_exit_code(const struct termination *termination);

/* The cause as far as the container's and the pod's statuses say. */
enum cause termination_cause(const struct termination *termination);

/* Exit code 0 and no reason that says otherwise: no record, whatever the logs say. */
bool termination_is_success(const struct termination *termination);

/* A copy in one block, for free(). Context beyond context_max bytes is left out. NULL: no memory.
 */
struct termination *termination_copy(const struct termination *termination, size_t context_max);

#endif
