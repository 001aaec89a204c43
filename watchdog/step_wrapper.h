/*
 * step_wrapper: commands that wait for another container of the pod before they start the process
 * that the user asked for. A step that waits for the one before it is not silent.
 *
 *  - Tekton's entrypoint, with -wait_file: every step but one without predecessors
 *    (tektoncd/pipeline, cmd/entrypoint).
 *  - Argo Workflows' "argoexec emissary", in a containerSet with dependencies
 *    (argoproj/argo-workflows, cmd/argoexec/commands/emissary.go). It logs to stderr while it
 *    waits.
 *
 * Both start the step as a child process, and nothing else before.
 */
#ifndef LASTWORD_WATCHDOG_STEP_WRAPPER_H
#define LASTWORD_WATCHDOG_STEP_WRAPPER_H

#include <stdbool.h>
#include <sys/types.h>

/* The command is one of them. */
bool step_wrapper_is(char **command);

/* The wrapper with this process id has a child; also true if /proc does not tell. */
bool step_wrapper_has_started(pid_t pid);

#endif
