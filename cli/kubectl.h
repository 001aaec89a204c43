/*
 * kubectl: asks the API server through a person's own kubectl, and so with their cluster and their
 * rights. A child process without a shell; the program is $KUBECTL, else kubectl in PATH.
 *
 * Its standard error goes on to ours while it runs (it may ask for a login there); what it said
 * last before it failed is in the error instead.
 */
#ifndef LASTWORD_CLI_KUBECTL_H
#define LASTWORD_CLI_KUBECTL_H

#include <stdbool.h>

#include "lib/base/error.h"

struct buffer;

/* Passed on; NULL: kubectl's own choice. */
struct kubectl {
	const char *kubeconfig;
	const char *context;
};

/* Appends the answer to GET path (as in "/api/v1/pods?limit=1") to the buffer, up to its limit. */
bool kubectl_get_raw(const struct kubectl *kubectl, const char *path, struct buffer *body,
                     struct error *error);

/* Appends the namespace that kubectl would use; "default" when nothing names one. A kubectl that
 * fails is not told of here: the next question tells. */
void kubectl_namespace(const struct kubectl *kubectl, struct buffer *name);

#endif
