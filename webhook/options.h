/*
 * options: reads the pod's own annotations, which override the rule, and the context fields. Pure.
 * A bad value means the rule's value and a warning. An unknown annotation with our prefix is a
 * warning too, since a misspelled one would otherwise have no effect and nobody would notice.
 */
#ifndef LASTWORD_WEBHOOK_OPTIONS_H
#define LASTWORD_WEBHOOK_OPTIONS_H

#include <stdbool.h>

#include "lib/document/json.h"
#include "webhook/plan.h"

/* A context value longer than this is cut, between two characters. */
#define CONTEXT_VALUE_MAX 256

/* Fills plan->shim from the rule and the annotations. */
void options_read(struct arena *arena, const json *pod, struct plan *plan);

/* annotation lastword.dev/inject is "false" (or anything else that Go's ParseBool calls false). */
bool options_opted_out(const json *pod);

/* annotation lastword.dev/shim is "off", or the rule says so. */
bool options_shim_off(const json *pod, const struct rule *rule);

/* Fills plan->context from the configuration's fields and the annotations lastword.dev/context.*.
 * env is the container whose environment the source env reads. False only when the arena is full.
 */
bool options_context(struct arena *arena, const struct config *config, const json *pod,
                     const json *env, struct plan *plan);

/* lastword.dev/command as a list of strings; false when absent or bad (then with a warning). */
bool options_command(struct arena *arena, const json *pod, struct plan *plan,
                     struct strings *ret_command);

#endif
