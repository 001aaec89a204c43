/*
 * silence: whether an agent failed without its pod showing it. Pure.
 *
 * A pod is silent when an agent has failed for good and another regular container that is not
 * lastword's own still runs `silent_after` later: the pod stays Running and looks healthy. A helper
 * that ends a moment after the agent (Argo's wait) makes no silence.
 *
 * No silence begins with a run that is not the last as restart policies and rules say, in a
 * container that waits for its next start, or because of what happened to the pod (deletion,
 * eviction, deadline). Silence that was not confirmed before the pod's deletion is requested is
 * none. It ends with the pod, or when the agent runs again (RestartAllContainers).
 *
 * All of it follows from one pod object, whenever it is seen: containers' statuses have the times.
 * The kubelet's times are truncated to whole seconds. A status may lose what it had said, though
 * (Kubernetes 1.20: ContainerStatusUnknown, without times, in a pod that is being deleted): then
 * silence does not follow from it any more, but its end does (silence_read_end()).
 */
#ifndef LASTWORD_OBSERVER_POD_SILENCE_H
#define LASTWORD_OBSERVER_POD_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "observer/pod/pod.h"
#include "observer/pod/termination.h"

enum silence_end {
	SILENCE_LASTS,
	SILENCE_POD_ENDED,
	SILENCE_POD_GONE,
	SILENCE_AGENT_RESTARTED,
};

/* Times are nanoseconds since 1970. */
struct silence {
	int64_t restart_count; /* of the run that failed */
	int64_t failed_at;
	int64_t confirmed_at; /* from when on the pod is silent, if what runs now goes on: it may be
	                         in the future; 0: nothing else runs, or ran, long enough */
	enum silence_end end;
	int64_t ended_at; /* 0: not yet */
	bool end_unknown; /* ended_at is when that was noticed */
};

/*
 * What follows from that termination of the agent, as termination_read() found it in the pod. gone:
 * this is the pod's last object. now: since 1970, for an end whose time is not in the object.
 * False: no silence can begin with it.
 */
bool silence_read(const struct pod *pod, const struct pod_agent *agent,
                  const struct termination *termination, bool gone, int64_t silent_after,
                  int64_t now, struct silence *ret_silence);

/*
 * Whether silence is over that was confirmed, as its record says: its agent runs again, or the pod
 * has ended. Then fills in when, as far as the object has it (else: now, and end_unknown). False:
 * the object does not say so; nothing is changed.
 */
bool silence_read_end(const struct pod *pod, const char *container, int64_t now,
                      struct silence *silence);

#endif
