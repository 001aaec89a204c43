/*
 * template: JSON bodies with fields of a notification in them. Pure.
 *
 * A template is a JSON tree. A text in it, but no key, may contain {{field}}: the field's text, or
 * nothing where the field is not known; the result is always valid JSON, since only the writer
 * quotes. Functions come before the field:
 *
 *   {{slack FIELD}}   &, < and > as entities, so that an agent's output mentions nobody
 *   {{fenced FIELD}}  as a Markdown code block that the text cannot end
 *   {{json FIELD}}    the whole text: the field as a JSON value (number, boolean or text), null
 *                     where it is not known
 *
 * What a field is says the lookup. Nesting: at most TEMPLATE_DEPTH_MAX; nothing recurses.
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_TEMPLATE_H
#define LASTWORD_OBSERVER_RECEIVER_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/document/json.h"

struct buffer;
struct json_writer;

#define TEMPLATE_DEPTH_MAX 32
#define TEMPLATE_FIELD_MAX 128 /* bytes of a field's name, with the NUL */

/* How fields are looked up; the name is a text of its own. */
struct template_fields {
	/* Appends the field's text; nothing where it is not known. */
	void (*write_text)(void *context, const char *name, struct buffer *out);
	/* Writes the field as one JSON value. */
	void (*write_json)(void *context, const char *name, struct json_writer *writer);
	/* There is such a field; error says which ones there are. */
	bool (*check)(void *context, const char *name, struct error *error);
	void *context;
};

/* The first mistake; *ret_node is the node that has it. Needs fields->check alone. */
bool template_check(const json *body, const struct template_fields *fields, const json **ret_node,
                    struct error *error);

/* Appends the body of a template that template_check() has accepted. Ask buffer_ok(). */
void template_write(const json *body, const struct template_fields *fields, struct buffer *out);

#endif
