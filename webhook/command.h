/*
 * command: whether a container's command can be wrapped in the shim, and what it is. Pure.
 *
 * A container is wrapped only when its whole command line is known: the pod's own command, else the
 * annotation lastword.dev/command, else what the configuration says of its image.
 */
#ifndef LASTWORD_WEBHOOK_COMMAND_H
#define LASTWORD_WEBHOOK_COMMAND_H

#include <stdbool.h>

#include "lib/document/json.h"
#include "webhook/plan.h"

struct wrapping {
	const struct policy_input *input;
	struct arena *arena;
	struct plan *plan;
	enum reason obstacle; /* of the whole pod */
	bool only_one;        /* at most one agent container names no command */
	const json *watchdog; /* that is there already, or NULL */
};

/* Why no container of the pod can be wrapped; REASON_APPLIED: nothing speaks against it. */
enum reason command_pod_obstacle(const struct policy_input *input, const struct plan *plan);

/* The container names no command of its own. */
bool command_is_missing(const json *container);

/* REASON_APPLIED: *ret_command is the command that the shim is to run, $ escaped as needed. */
enum reason command_decide(const struct wrapping *wrapping, const json *container,
                           struct strings *ret_command);

#endif
