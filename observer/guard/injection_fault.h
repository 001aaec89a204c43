/*
 * injection_fault: whether an injected pod cannot start because of lastword, as far as the pod
 * object says. Pure.
 *
 * What shows it (measured on a real kubelet, 1.36.2 and 1.20.2; tests/unit/test_injection_fault.c
 * has the statuses):
 *   our container waits: ImagePullBackOff, ErrImageNeverPull, InvalidImageName, …      image
 *   it waits: CreateContainerConfigError, CreateContainerError                          create
 *   it waits: RunContainerError or CrashLoopBackOff, and its last run is a StartError;
 *     or that is how it ended                                                          start
 *   it waits: PostStartHookError                                                       hook
 *   it waits: CrashLoopBackOff while no agent has started; lastword-install has failed  crash
 *   it waits: PodInitializing, long after its Started event (Events say so: hook_check) hook-hangs
 *   an agent in the shim waits or ended with a StartError, and the runtime's message
 *     names /lastword                                                                  shim
 *   an agent in the shim waits for an image, and the message names the watchdog's      image
 * "Our containers" are lastword-watchdog and lastword-install, regular and init.
 *
 * Not lastword's fault, and not taken for it: an image of the agent's own that cannot be pulled, a
 * command of its own that cannot be started (in the shim that is exit code 127, without the shim
 * the message names that command), init containers and sidecars of others, a pod that no node has
 * room for, and whatever happens to a pod that is being deleted, evicted or past its deadline.
 *
 * Only pods that have lastword's label and watchdog are looked at. A tenant who makes a pod up that
 * looks so opens the breaker of his own namespace, where he may leave pods uninjected anyway.
 */
#ifndef LASTWORD_OBSERVER_GUARD_INJECTION_FAULT_H
#define LASTWORD_OBSERVER_GUARD_INJECTION_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "observer/pod/pod.h"

/* A pod whose start was under way for longer says nothing about the present. */
#define INJECTION_FAULT_AGE_MAX (3600 * SECOND)

struct injection_fault {
	const char *reason;    /* a word of the list above; static */
	const char *container; /* where it shows */
	const char *message;   /* the kubelet's or the runtime's; NULL: none; in the pod's arena */
};

/* False: nothing shows that lastword is at fault. now: nanoseconds since 1970. */
bool injection_fault_read(const struct pod *pod, int64_t now, struct injection_fault *ret_fault);

/* An agent in the shim has run, and so has the watchdog: nothing of ours was in the way. */
bool injection_succeeded(const struct pod *pod);

/* The native watchdog's turn has come (all init containers before it are done), it is not running,
 * and no other reason is given: its image is being pulled, or its postStart hook runs, or hangs. */
bool injection_may_hang(const struct pod *pod);

#endif
