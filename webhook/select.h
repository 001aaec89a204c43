/*
 * select: which rule is for a pod, and which of its containers are agents. Pure.
 */
#ifndef LASTWORD_WEBHOOK_SELECT_H
#define LASTWORD_WEBHOOK_SELECT_H

#include <stdbool.h>

#include "lib/document/json.h"
#include "webhook/config.h"

struct arena;

/* The text matches one of the patterns (lib/base/glob.h). */
bool matches_any(const struct strings *patterns, const char *text);

/* The first rule that matches, NULL when none does. A label selector means what it means in
 * Kubernetes: NotIn and DoesNotExist also match a pod without the label. */
const struct rule *select_rule(const struct config *config, const char *namespace, const json *pod);

/*
 * The agent containers' nodes, in the pod's order; ours are never among them. In turn: annotation
 * lastword.dev/containers, the rule's names, label cli-container, annotation
 * kubectl.kubernetes.io/default-container, a container named main, else all that the configuration
 * does not know as sidecars. A source that names no container of the pod is passed over; of the
 * first one, every name that is missing goes to *ret_missing (NULL: none).
 * *ret_containers has room for as many as spec.containers has. Returns their number.
 */
size_t select_agents(const struct config *config, const struct rule *rule, const json *pod,
                     const json **ret_containers, size_t capacity, const char **ret_missing);

#endif
