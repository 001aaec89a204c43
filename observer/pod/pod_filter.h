/*
 * pod_filter: the part of a pod object that the observer reads (pod.h, termination.h), as filters
 * for lib/document/json_stream: for a list of pods and for the events of a watch.
 *
 * A pod may have 1.5 MiB in etcd, which the API server prints as up to 8.7 MB (`<` is \u003c):
 * arguments, environment and other people's annotations, which nobody here needs. What is kept has
 * a ceiling everywhere:
 *  - What decides about terminations (who the pod is, its phase, how its containers ended, which of
 *    them are agents) is always kept, for up to POD_FILTER_CONTAINERS containers.
 *  - What only says more (messages, restart rules, the watchdog's flags, annotations
 *    lastword.dev/…, labels for the rules) shares POD_FILTER_EXTRA_MAX bytes. A pod that has more
 *    than that is read without it: its terminations are recorded as the kubelet reports them.
 * Both ceilings are far above what pods of people have; the kubelet keeps 12 KiB of messages for a
 * pod, and the flags are bounded by the webhook.
 */
#ifndef LASTWORD_OBSERVER_POD_POD_FILTER_H
#define LASTWORD_OBSERVER_POD_POD_FILTER_H

#include <stddef.h>

#include "lib/document/json_filter.h"

#define POD_FILTER_CONTAINERS 100
#define POD_FILTER_EXTRA_MAX  ((size_t)128 * 1024)
/* Bytes of storage for a json_stream with one of these filters. */
#define POD_FILTER_STORAGE ((size_t)448 * 1024)
/* Bytes of an arena that holds the tree of what is kept of one pod. */
#define POD_FILTER_ARENA ((size_t)8 * 1024 * 1024)

/* {"metadata": {"resourceVersion", "continue"}, "items": [pod, …]} */
extern const struct json_filter pod_list_filter[];
/* {"type", "object": a pod, or of ERROR events "code" and "reason" of a Status} */
extern const struct json_filter pod_watch_filter[];

#endif
