/*
 * presets: the bodies that the receiver type webhook knows by name. Pure; static texts.
 *
 * They are templates (template.h) like those that a configuration may have. Their sizes stay below
 * what the services document, since every field is bounded: Slack 3,000 characters in a block,
 * PagerDuty 1,024 in the summary and 255 in the dedup_key, GitHub 256 in a title and 65,536 in a
 * body, Teams 28 KB in a message. Agents' output mentions nobody: in Slack it is preformatted rich
 * text or escaped, in Teams plain text runs, in GitHub a code block.
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_PRESETS_H
#define LASTWORD_OBSERVER_RECEIVER_PRESETS_H

#include <stdbool.h>
#include <stddef.h>

struct preset {
	const char *name;
	const char *body;           /* JSON */
	const char *url;            /* the default; NULL: none */
	const char *const *headers; /* lines up to a NULL; NULL: none */
	const char *parameter;      /* that must be given; NULL: none */
	bool resolvable;            /* the service understands that something is over */
};

#define PRESET_DEFAULT "generic"

/* NULL: there is none. */
const struct preset *preset_find(const char *name);
/* The preset's name, by number; NULL: there are no more. */
const char *preset_name(size_t number);

#endif
