/*
 * sidecar_lifecycle: when the sidecar may end. Pure: events and times in, a point of time out.
 *
 * A container is WAITING until its shim connects, RUNNING while a shim is connected, TERMINATED
 * afterwards.
 *
 * native: the kubelet restarts a native sidecar that ends early, and the pod is unready meanwhile.
 * So it never ends before SIGTERM; then when no container is RUNNING, at the latest 1.5 s later
 * (the kubelet gives it about 2 s after the others).
 *
 * classic: the pod is not complete before the sidecar ends. So it ends when each container is gone
 * for good: TERMINATED and not to be restarted (by its restart policy: Never is never restarted,
 * OnFailure not after exit code 0, Always always), or still WAITING when the start timeout is over
 * (it may have ended before the sidecar began). After SIGTERM no container is restarted: the
 * sidecar ends when none is RUNNING, at the latest 2 s before the grace period ends (after half of
 * it, if it is shorter than 4 s).
 */
#ifndef LASTWORD_WATCHDOG_SIDECAR_LIFECYCLE_H
#define LASTWORD_WATCHDOG_SIDECAR_LIFECYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTAINERS_MAX 32

/* RESTART_UNSET: to be replaced by the pod's, before sidecar_lifecycle_end_at() is called. */
enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER, RESTART_UNSET };

enum container_state { CONTAINER_WAITING, CONTAINER_RUNNING, CONTAINER_TERMINATED };

struct lifecycle_container {
	enum restart_policy policy;
	enum container_state state;
	bool failed; /* how a TERMINATED one ended */
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

/* When the sidecar is to end if nothing else happens; NEVER. It is time when that is not after now.
 */
int64_t sidecar_lifecycle_end_at(const struct sidecar_lifecycle *lifecycle);

#endif
