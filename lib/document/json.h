/*
 * json: a JSON tree (RFC 8259) in an arena.
 *
 * Ownership: every node belongs to the arena it was parsed into or made in (arena.h) and lives
 * until arena_reset() or arena_free(). Nodes of two arenas must not be mixed. Input that needs more
 * than the arena's ceiling is refused.
 *
 * Keys are compared case-sensitively, as Kubernetes' own decoder does. Every getter takes NULL for
 * "no such node" and gives NULL (or the fallback) back, so paths can be walked without checks.
 *
 * Numbers: cJSON keeps doubles. What must survive to the last digit is parsed with
 * JSON_KEEP_NUMBERS, which keeps the number's text, or never printed again.
 */
#ifndef LASTWORD_LIB_DOCUMENT_JSON_H
#define LASTWORD_LIB_DOCUMENT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/document/arena.h"
#include "lib/document/json_tag.h"

struct buffer;
typedef struct cJSON json;

/* Deeper nesting is refused; whatever walks a tree relies on it. */
#define JSON_DEPTH_MAX 1000

enum json_fidelity {
	JSON_INVALID,  /* not JSON, too deep (JSON_DEPTH_MAX), or too large for the arena */
	JSON_FLAWED,   /* a tree, but the text was not what it seems: a key given twice, a NUL in a
	                  string, or bytes that are not UTF-8; good for reading a uid, not for
	                  deciding */
	JSON_FAITHFUL, /* the tree says what the text says */
};

enum json_flags {
	JSON_KEEP_NUMBERS = 1, /* numbers are printed again exactly as they were written */
	JSON_LAST_KEY = 2,     /* of a key given twice the last one stays, as Go's decoder has it */
};

/* Parses exactly length bytes. error is set unless JSON_FAITHFUL; *ret_root unless JSON_INVALID. */
enum json_fidelity json_parse(struct arena *arena, const char *text, size_t length, unsigned flags,
                              json **ret_root, struct error *error);

/*
 * --- Work ---
 * Somebody else's tree must not cost more time than it is worth, whatever is looked for in it.
 * After json_work_begin() the functions below count the nodes that they look at, on this thread.
 * When the limit is used up they find nothing any more, so that every loop ends: whoever set a
 * limit asks json_work_left(), and throws away what was found out when it is 0. UINT64_MAX, as at
 * the start of a thread, is no limit.
 */
void json_work_begin(uint64_t limit);
uint64_t json_work_left(void);
/* Adds work of another kind to the count, such as that on texts. */
void json_work_add(uint64_t amount);
/* The number of nodes in a tree; not counted as work. */
size_t json_count(const json *root);

/* --- Reading --- */
bool json_is_object(const json *node);
bool json_is_array(const json *node);
bool json_is_string(const json *node);
bool json_is_number(const json *node);
bool json_is_bool(const json *node);
bool json_is_null(const json *node); /* a JSON null; a missing node is not null */
/* "object", "array", "string", "number", "boolean", "null", or "nothing" for NULL. */
const char *json_type_name(const json *node);

/* json_get() for a key whose tag is known. */
json *json_get_tagged(const json *object, const char *key, unsigned tag);
/* The member of that name; NULL when object is not an object or has none. */
static inline json *json_get(const json *object, const char *key)
{
	return json_get_tagged(object, key, json_tag(key, strlen(key)));
}
/* The member's member: json_get_in(pod, "spec", "containers"). */
static inline json *json_get_in(const json *object, const char *key, const char *inner)
{
	return json_get(json_get(object, key), inner);
}
/* Walks down by keys; the list ends with NULL: json_find(pod, "spec", "os", "name", NULL). Tags are
 * computed each time, so that json_get_in() is quicker. */
json *json_find(const json *node, ...) __attribute__((sentinel));
json *json_at(const json *array, size_t index);
/* Number of members or elements; 0 for everything else. */
size_t json_size(const json *node);
/* For walking: for (json *n = json_first(array); n != NULL; n = json_next(n)) */
json *json_first(const json *container);
json *json_next(const json *node);
/* The member's own key; NULL for elements and roots. */
const char *json_key(const json *node);

/* The string's text (never with a NUL inside when JSON_FAITHFUL), else NULL. */
const char *json_string(const json *node);
static inline const char *json_get_string(const json *object, const char *key)
{
	return json_string(json_get(object, key));
}
/* json_get_string() with another answer than NULL. */
static inline const char *json_get_string_or(const json *object, const char *key,
                                             const char *fallback)
{
	const char *text = json_get_string(object, key);
	return text == NULL ? fallback : text;
}
/* The node is the string text. */
bool json_string_is(const json *node, const char *text);
/* A boolean that is true. */
bool json_is_true(const json *node);
/* An integral number within ±2^53; false otherwise. */
bool json_integer(const json *node, int64_t *ret_value);
/* Any finite number, as near as a double is. */
bool json_double(const json *node, double *ret_value);
/* A number's own text where it was kept, else NULL. */
const char *json_number_text(const json *node);
/* A string's text, or a number's own where it was kept; else NULL. */
const char *json_scalar_text(const json *node);

/* --- Making and changing; NULL or false when the arena is full --- */
json *json_new_object(struct arena *arena);
json *json_new_array(struct arena *arena);
json *json_new_string(struct arena *arena, const char *text);
/* Of a text that outlives the tree, such as a literal: it is not copied. */
json *json_new_string_ref(struct arena *arena, const char *text);
json *json_new_integer(struct arena *arena, int64_t value);
/* A number that keeps its text. */
json *json_new_number_text(struct arena *arena, const char *text);
json *json_new_bool(struct arena *arena, bool value);
json *json_new_null(struct arena *arena);
json *json_duplicate(struct arena *arena, const json *node);
/* A copy of the node with nodes of its own for its children, which are shared: what is below them
 * is the node's, of the same arena, and must not be changed. */
json *json_share(struct arena *arena, const json *node);
/* The node was made by json_share() as a child. */
bool json_is_shared(const json *node);
/* Adds at the end, without a check whether the key is there already. */
bool json_add_member(struct arena *arena, json *object, const char *key, json *value);
/* The same with a key that outlives the tree and is not copied; its tag is json_tag()'s. */
bool json_add_member_tagged(json *object, const char *key, unsigned tag, json *value);
static inline bool json_add_member_ref(json *object, const char *key, json *value)
{
	return json_add_member_tagged(object, key, json_tag(key, strlen(key)), value);
}
bool json_append(json *array, json *value);
/* Before the element at index; index may be the size. */
bool json_insert(json *array, size_t index, json *value);
/* Replaces the member of that name in its place, or adds it. */
bool json_set_member(struct arena *arena, json *object, const char *key, json *value);
bool json_replace(json *parent, json *old_node, json *value);
void json_remove(json *parent, json *node);

/* --- Printing (json_print.c) --- */
/* Prints compact JSON, or with indent spaces for each level. Ask buffer_ok(). */
void json_print(struct buffer *out, const json *node, unsigned indent);

#endif
