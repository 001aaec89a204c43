/*
 * life: when the watchdog may end. Pure: what happened and the time come in, the answer goes out.
 *
 * A container's life: AWAITED until its shim says hello, OPEN while one is connected, ENDED after.
 *
 * native (a sidecar that ends before it is told to is restarted, and takes the pod's readiness with
 * it): never before SIGTERM; then when nothing is OPEN, at the latest 1.5 s later (the kubelet
 * gives it about 2 s after the others).
 *
 * classic (the pod is not complete before it ends): when each container is gone for good:
 *   ENDED finally, as its restart policy says: Never always, OnFailure with exit code 0, Always
 *   never; or still AWAITED when the start timeout is over (it may have ended before we began).
 * After SIGTERM nobody is restarted: when nothing is OPEN, at the latest 2 s before the grace
 * period ends (half of it where it is shorter than 4 s).
 */
#ifndef LASTWORD_WATCHDOG_SIDECAR_LIFECYCLE_H
#define LASTWORD_WATCHDOG_SIDECAR_LIFECYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTAINERS_MAX 32

/* UNSET: as the pod's; not for sidecar_lifecycle_end_at(). */
enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER, RESTART_UNSET };

enum container_state { CONTAINER_WAITING, CONTAINER_RUNNING, CONTAINER_TERMINATED };

struct lifecycle_container {
	enum restart_policy policy;
	enum container_state state;
	bool failed; /* the end of an ENDED one */
};

struct sidecar_lifecycle {
	bool classic;
	int64_t grace;         /* nanoseconds, as all times here */
	int64_t start_timeout; /* classic */
	int64_t began_at;
	int64_t terminated_at; /* SIGTERM; -1: not yet */
	struct lifecycle_container containers[CONTAINERS_MAX];
	size_t count;
};

/* "Always", "OnFailure", "Never". */
bool restart_policy_parse(const char *text, enum restart_policy *ret_policy);

/* The point of time from which on the watchdog is to be gone, if nothing else happens; NEVER. It is
 * over when that is not after now. */
int64_t sidecar_lifecycle_end_at(const struct sidecar_lifecycle *life);

#endif
