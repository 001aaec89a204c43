/*
 * argo: the pods that Argo Workflows makes of a Workflow's templates (its workflow/controller:
 * workflowpod.go, agent.go). Pure.
 *
 * As the webhook sees them: the executor (argoexec emissary) runs the command of every container
 * but wait, so that a command is always known, also an image's; templateDefaults are merged into
 * each template; resource and data templates run the executor itself; HTTP and plugin templates run
 * in one agent pod of the workflow. Parameters ({{…}}) stay as they are written.
 */
#ifndef LASTWORD_CLI_ARGO_H
#define LASTWORD_CLI_ARGO_H

#include <stdbool.h>

#include "lib/document/json.h"

/* A Workflow, WorkflowTemplate, ClusterWorkflowTemplate or CronWorkflow. */
bool argo_is_workflow(const json *object);

/* Calls visit for the pod of each template that makes one, with the template's name, until it
 * returns false, which is returned. False also when there is no memory. */
bool argo_visit_pods(struct arena *arena, const json *workflow,
                     bool (*visit)(void *context, json *pod, const char *template_name),
                     void *context);

#endif
