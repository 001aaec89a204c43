/*
 * pod_lookup: whether a pod still exists. For pods that the watch does not show any more: one that
 * lost its label looks like one that was deleted. No I/O of its own: a request to the event loop.
 */
#ifndef LASTWORD_OBSERVER_POD_POD_LOOKUP_H
#define LASTWORD_OBSERVER_POD_POD_LOOKUP_H

#include <stdbool.h>

#include "observer/base/event_loop.h"

/* GET the metadata of the pod of that name. NULL: no memory. */
struct request *pod_lookup_request(struct event_loop *loop, const char *namespace, const char *name,
                                   request_finish *finish, void *context);

/* The response to that is the pod with that uid; another one may have its name now. */
bool pod_lookup_found(const struct kube_response *response, const char *uid);

#endif
