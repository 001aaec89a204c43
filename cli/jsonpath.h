/*
 * jsonpath: kubectl's JSONPath templates, for -o jsonpath=TEMPLATE. Pure.
 *
 * A template is text with actions in braces. An action is a path, {"text"} with Go's escapes, or
 * {range PATH} … {end}. A path begins at the object that is printed, within a range at its element;
 * `$` is the object, `@` the element. Its steps:
 *
 *   .name  ['name']  ['a.b','c']   members; \. is a dot of a name; .* and [*] all
 *   [n]  [n,m]  [from:to:step]     elements; from the end where negative
 *   ..name                         in whatever stands below
 *   [?(@.path OP VALUE)]           the elements for which it is true; OP: == != < <= > >=; with
 *                                  @.path alone those that have it
 *
 * As kubectl has it: what an object does not have prints nothing, an element that an array does not
 * have is an error; several results are separated by a space; texts stand bare, the rest is JSON.
 * Source: https://kubernetes.io/docs/reference/kubectl/jsonpath/ and, compared by
 * tests/cli/test_jsonpath.py, kubectl itself. Not taken: a filter within a filter, quoted text and
 * a path in the same braces.
 */
#ifndef LASTWORD_CLI_JSONPATH_H
#define LASTWORD_CLI_JSONPATH_H

#include <stdbool.h>

#include "lib/base/error.h"
#include "lib/document/json.h"

struct buffer;

enum jsonpath_operator {
	JSONPATH_EXISTS,
	JSONPATH_EQUAL,
	JSONPATH_NOT_EQUAL,
	JSONPATH_LESS,
	JSONPATH_LESS_EQUAL,
	JSONPATH_GREATER,
	JSONPATH_GREATER_EQUAL,
};

enum jsonpath_step_kind {
	JSONPATH_ROOT,
	JSONPATH_CURRENT,
	JSONPATH_MEMBER,
	JSONPATH_ALL,
	JSONPATH_BELOW,
	JSONPATH_SLICE,
	JSONPATH_UNION,
	JSONPATH_FILTER,
};

/* A bound of a slice. */
struct jsonpath_bound {
	int64_t value;
	bool known;
};

struct jsonpath_choice {
	const struct jsonpath_step *steps;
	struct jsonpath_choice *next;
};

/* One side of a comparison: a path, or a value. */
struct jsonpath_operand {
	const struct jsonpath_step *path;
	const json *value;
};

struct jsonpath_step {
	enum jsonpath_step_kind kind;
	const char *name;                /* of a member */
	struct jsonpath_bound bounds[3]; /* of a slice: from, to, step */
	bool single;                     /* [n], no slice */
	struct jsonpath_choice *first;   /* of a union */
	enum jsonpath_operator operator; /* of a filter; and so the next two */
	struct jsonpath_operand left;
	struct jsonpath_operand right;
	struct jsonpath_step *next;
};

enum jsonpath_action_kind { JSONPATH_TEXT, JSONPATH_PATH, JSONPATH_RANGE, JSONPATH_END };

struct jsonpath_action {
	enum jsonpath_action_kind kind;
	const char *text;                    /* of a text */
	const struct jsonpath_step *path;    /* of a path and a range */
	const struct jsonpath_action *match; /* of a range its end, of an end its range */
	struct jsonpath_action *next;
};

struct jsonpath {
	const struct jsonpath_action *first;
};

/* Reads the template; everything belongs to the arena. The error names the column. */
bool jsonpath_compile(struct arena *arena, const char *template, struct jsonpath *ret_path,
                      struct error *error);

/* Appends what the template makes of the object. Nothing of the object can control a terminal
 * (terminal.h); the template's own text stands as it is. Ask buffer_ok(). */
bool jsonpath_print(const struct jsonpath *path, const json *object, struct arena *arena,
                    struct buffer *out, struct error *error);

#endif
