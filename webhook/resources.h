/*
 * resources: which requests and limits an agent container and the sidecar get, and whether those of
 * the sidecar fit into the pod's own. Pure.
 */
#ifndef LASTWORD_WEBHOOK_RESOURCES_H
#define LASTWORD_WEBHOOK_RESOURCES_H

#include <stdbool.h>

#include "lib/document/json.h"
#include "webhook/config.h"
#include "webhook/plan.h"

/* What the rule adds to an agent container where it has neither request nor limit; *ret_fill only
 * with REASON_APPLIED. */
enum reason resources_fill(const json *pod, const struct rule *rule, const json *container,
                           struct resources *ret_fill);

/* The sidecar's: those of the rule, else of the configuration so that the pod keeps its QoS class;
 * and over them what the pod's annotations say. */
struct resources resources_of_sidecar(const struct config *config, const json *pod,
                                      const struct plan *plan);

/* The sidecar's resources fit into the pod-level resources. */
bool resources_fit(const json *pod, const struct resources *resources);

/* What the pod as a whole requests nothing of, no container of it may. */
void resources_drop_unrequested(const json *pod, struct resources *resources);

#endif
