/*
 * argo_pod: which containers of a pod are those of the Argo Workflows template that it was made of,
 * a container, a script or a containerSet. Pure.
 *
 * Facts (argo-workflows v4.1: workflow/controller/workflowpod.go, workflow/common/common.go):
 *  - The pod lists "wait" (Argo 4 without init containers: "supervisor") first, then the template's
 *    containers, then the template's sidecars and those of artifact plugins.
 *  - argoexec emissary runs the command of all of them but the first, of sidecars too.
 *  - The annotation kubectl.kubernetes.io/default-container is the template's container "main", or
 *    the last one of a containerSet without a "main".
 *  - The environment variable ARGO_TEMPLATE of the container "init" (without it: of "supervisor" or
 *    "main") is the template as JSON; one above 128 KiB is in a ConfigMap instead, and the variable
 *    says "offloaded".
 *  - The pods of HTTP templates, of plugins and of the artifact garbage collector have the label
 *    workflows.argoproj.io/component and are made otherwise.
 */
#ifndef LASTWORD_WEBHOOK_ARGO_POD_H
#define LASTWORD_WEBHOOK_ARGO_POD_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/document/json.h"
#include "lib/document/strings.h"
#include "webhook/container_index.h"

/*
 * Marks the template's containers by their positions in the index, and returns how many there are;
 * 0: the pod does not say. Where ARGO_TEMPLATE can be read it decides, whatever the default
 * container is. Else the order does: from behind "wait" to the default container, and where that
 * is "main" and others stand before it, a containerSet then, those behind it that are no known
 * sidecars.
 */
size_t argo_pod_mark(const json *pod, const struct container_index *index,
                     const struct strings *known_sidecars, struct arena *arena, bool *marks);

#endif
