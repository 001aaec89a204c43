/*
 * mutate: makes the JSON Patch for a pod from its plan. Pure.
 *
 * The patch is minimal: it appends to existing arrays, never prints an existing object again (so
 * numbers keep their text), and creates missing parents. Its only "replace" operations are those of
 * terminationMessagePolicy, command, the command of an exec preStop hook, and annotations and
 * labels that exist.
 */
#ifndef LASTWORD_WEBHOOK_MUTATE_H
#define LASTWORD_WEBHOOK_MUTATE_H

#include "lib/document/json.h"
#include "webhook/patch.h"
#include "webhook/plan.h"

/* Fills an empty patch; it stays empty when there is nothing to do. record: the decision record for
 * the status annotation; NULL: there is no room for annotations. A failure sets patch->failed. */
void mutate(const struct plan *plan, const struct config *config, const json *pod,
            const char *record, struct patch *patch);

#endif
