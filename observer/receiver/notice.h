/*
 * notice: one thing that receivers are notified of, as templates and payloads see it: a record,
 * whether it is open or over, and what the receiver's settings add. Pure.
 *
 * The texts of the record are redacted already. Fields of templates are the fields of the record
 * (docs/agent-exit.md) but logTail, context.NAME for an entry of its context, and:
 *
 *   record, id, identity   the record's name; what is the same in every attempt to deliver this
 *                          notification; what runs of the same agent have in common
 *   status, action         firing or resolved; trigger or resolve
 *   silent                 true where the pod looked healthy while the agent had failed
 *   severity               critical where it was silent, else error
 *   title, text            one line of at most 240 bytes; the key lines, else the summary, else the
 *                          cause: never empty
 *   time                   when the run ended, else when the record was made
 *   similar                how many similar failures this notification also stands for
 *   resolvedAt             when it was over
 *   command                what to type to see all of it
 *   labels.NAME, parameters.NAME   of the receiver's settings
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_NOTICE_H
#define LASTWORD_OBSERVER_RECEIVER_NOTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/kube/agent_exit.h"
#include "observer/receiver/receiver_settings.h"
#include "observer/receiver/template.h"

struct buffer;

#define NOTICE_ID_SIZE 320

struct notice {
	const struct agent_exit *exit;
	const struct receiver_settings *settings;
	const char *const
	        *parameters; /* the values of settings->parameters; NULL: they are not read */
	bool resolved;
	size_t similar;
};

/* Fields of a notice (context), for writing. */
extern const struct template_fields notice_fields;

/* There is such a field, with these settings (context of the check: the settings). */
bool notice_check_field(void *settings, const char *name, struct error *error);

/* pod UID, container, run, and whether it is the end. */
void notice_id(const struct notice *notice, char ret_id[NOTICE_ID_SIZE]);

bool notice_is_silent(const struct agent_exit *exit);
/* When the silence was over, or the agent had succeeded; AGENT_EXIT_UNKNOWN: it lasts. For a
 * receiver of silence alone the end of the silence counts, too. */
int64_t notice_over_at(const struct agent_exit *exit, bool silent_only);
/* When the run ended, as far as it is known, else when the record was made. */
int64_t notice_time(const struct agent_exit *exit);

/* The key lines, else the summary, else the cause. */
const char *notice_text(const struct agent_exit *exit);

#endif
