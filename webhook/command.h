/*
 * command: decides whether a container's command can be wrapped in the shim, and what the shim is
 * to run. Pure.
 *
 * A container is wrapped only when its whole command line is known: the pod's own command, else the
 * annotation lastword.dev/command, else what the configuration says of its image.
 */
#ifndef LASTWORD_WEBHOOK_COMMAND_H
#define LASTWORD_WEBHOOK_COMMAND_H

#include <stdbool.h>

#include "lib/document/json.h"
#include "webhook/container_index.h"
#include "webhook/plan.h"

/* What is known about the pod while its containers are decided one after the other. */
struct wrapping {
	const struct policy_input *input;
	struct arena *arena;
	struct plan *plan;
	const struct container_index *index;
	const json *watchdog; /* the one that is already in the pod, or NULL */
	bool only_one;        /* at most one agent container names no command */

	/* Filled by command_prepare(); the lists by position in the index. */
	enum reason obstacle;    /* of the whole pod; REASON_APPLIED: none */
	bool annotated;          /* there is an annotation lastword.dev/command */
	bool *localhost_profile; /* an annotation gives the container an AppArmor profile file */
	bool *watched;           /* the watchdog that is already in the pod knows it */
};

/* False only when the arena is full. */
bool command_prepare(struct wrapping *wrapping);

/* The container names no command of its own. */
bool command_is_missing(const json *container);

/* REASON_APPLIED: *ret_command is the command that the shim is to run, $ escaped as needed. */
enum reason command_decide(const struct wrapping *wrapping, const json *container, size_t position,
                           struct strings *ret_command);

#endif
