/*
 * mutate: plan and pod in, JSON Patch out. Pure.
 *
 * The patch is minimal: existing arrays are appended to and never written again, existing objects
 * are never printed again (numbers keep their text), missing parents are made. Its only "replace"
 * operations are terminationMessagePolicy, command, an exec preStop's command and the autoscaler's
 * list, each of a value that is there.
 */
#ifndef LASTWORD_WEBHOOK_MUTATE_H
#define LASTWORD_WEBHOOK_MUTATE_H

#include "lib/document/json.h"
#include "webhook/patch.h"
#include "webhook/plan.h"

/* Fills an empty patch; it stays empty when there is nothing to do. record: the decision record for
 * the status annotation; NULL: there is no room for annotations. A failure is the patch's. */
void mutate(const struct plan *plan, const struct config *config, const json *pod,
            const char *record, struct patch *patch);

#endif
