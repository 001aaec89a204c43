/*
 * kubectl: requests to the API server through the user's own kubectl, and so to their cluster and
 * with their rights. A child process (child.h); the program is $KUBECTL, else kubectl in PATH.
 */
#ifndef LASTWORD_CLI_KUBECTL_H
#define LASTWORD_CLI_KUBECTL_H

#include <stdbool.h>

#include "cli/child.h"
#include "lib/base/error.h"
#include "lib/document/json.h"

struct buffer;

struct kubectl {
	const char *kubeconfig; /* passed on, as context; NULL: kubectl's own choice */
	const char *context;
	const char *timeout;               /* of requests, as "5s"; NULL: kubectl's own */
	const struct interrupt *interrupt; /* of requests; NULL: none */
};

/* Appends the response to GET path (as in "/api/v1/pods?limit=1") to the buffer, up to its limit.
 */
bool kubectl_get_raw(const struct kubectl *kubectl, const char *path, struct buffer *body,
                     struct error *error);

/* The same of a response that comes bit by bit, such as a watch. */
bool kubectl_follow_raw(const struct kubectl *kubectl, const char *path,
                        const struct child_output *output, enum child_end *ret_end,
                        struct error *error);

/* kubectl_get_raw() parsed, numbers with their texts; at most so many bytes. NULL, and error is
 * set: it could not be read. */
json *kubectl_get_json(const struct kubectl *kubectl, const char *path, size_t most,
                       struct arena *arena, struct error *error);

/* Sends a merge patch of a ConfigMap. The error has "(Conflict)" where that names a resourceVersion
 * that is not the present one. */
bool kubectl_patch_config_map(const struct kubectl *kubectl, const char *namespace,
                              const char *name, const char *patch, struct error *error);

/* Creates a pod, of one container of the same name, as a dry run: nothing is stored. Appends the
 * pod as the API server would have stored it, with what admission made of it. labels: KEY=VALUE,…
 */
bool kubectl_try_pod(const struct kubectl *kubectl, const char *namespace, const char *name,
                     const char *labels, struct buffer *ret_pod, struct error *error);

/* Appends the names of kubectl's contexts, a line each. */
bool kubectl_contexts(const struct kubectl *kubectl, struct buffer *names, struct error *error);

/* Appends the namespace that kubectl would use; "default" when nothing names one. Where
 * kubectl fails, the next request has the error. */
void kubectl_namespace(const struct kubectl *kubectl, struct buffer *name);

#endif
