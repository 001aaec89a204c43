/*
 * record: the decision record, one JSON object: what was done to a pod and what was left alone,
 * each with a reason code (reason.h). The same text is the status annotation, the audit annotation,
 * the log's field and the output of `lastword explain`. docs/decision-record.md documents it.
 */
#ifndef LASTWORD_WEBHOOK_RECORD_H
#define LASTWORD_WEBHOOK_RECORD_H

#include "webhook/plan.h"

struct buffer;

/* annotated: REASON_APPLIED, or why the pod does not carry the record itself. Ask buffer_ok(). */
void record_write(const struct plan *plan, const struct config *config, enum reason annotated,
                  struct buffer *out);

#endif
