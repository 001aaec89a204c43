/*
 * record: writes the decision record, a JSON object that says what was applied to a pod and what
 * was skipped, with reason codes (reason.h). The same text is the status annotation, the audit
 * annotation, a field of the log and the output of `lastword explain`. docs/decision-record.md
 * documents it.
 */
#ifndef LASTWORD_WEBHOOK_RECORD_H
#define LASTWORD_WEBHOOK_RECORD_H

#include "webhook/plan.h"

struct buffer;

/* annotated: REASON_APPLIED, or why the pod gets no status annotation. Ask buffer_ok(). */
void record_write(const struct plan *plan, const struct config *config, enum reason annotated,
                  struct buffer *out);

#endif
