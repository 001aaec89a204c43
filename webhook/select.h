/*
 * select: finds the rule for a pod, and which of its containers are agents. Pure.
 */
#ifndef LASTWORD_WEBHOOK_SELECT_H
#define LASTWORD_WEBHOOK_SELECT_H

#include <stdbool.h>

#include "lib/document/json.h"
#include "webhook/config.h"
#include "webhook/container_index.h"

/* The first rule that matches, NULL when none does. A label selector means what it means in
 * Kubernetes: NotIn and DoesNotExist also match a pod without the label. */
const struct rule *select_rule(const struct config *config, const char *namespace, const json *pod);

/*
 * Marks the agent containers, by their positions in the index; ours are never among them. In turn:
 * annotation lastword.dev/containers, the rule's names, label cli-container, the containers of the
 * template that Argo Workflows made the pod of (argo_pod.h), annotation
 * kubectl.kubernetes.io/default-container, a container named main, all that the configuration does
 * not know as sidecars, else the pod's only container. The default container is passed over in pods
 * with one of the configuration's automaticDefaultContainers: Istio names the first container, Argo
 * the last. A source that names no container of the pod is passed over; the first name of the
 * annotation that is not there goes to *ret_missing (NULL: none). ret_marks has room for all
 * containers of the index. Returns the number of agents.
 */
size_t select_agents(struct arena *arena, const struct config *config, const struct rule *rule,
                     const json *pod, const struct container_index *index, bool *ret_marks,
                     const char **ret_missing);

#endif
