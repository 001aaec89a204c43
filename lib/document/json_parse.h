/*
 * json_parse: a text (RFC 8259, nothing more) into a tree of cJSON's nodes, in one pass.
 *
 * cJSON's own parser was a third of a review's processor time (docs/performance.md), and takes what
 * is no JSON: control characters in strings, leading zeros, a NUL that cuts a string short. This
 * one makes the same tree, with the same links, so that cJSON's other functions work on it.
 *
 * The text is copied once into the arena; strings lie in that copy, escapes already replaced. So a
 * tree takes the text's length and a node for each value.
 *
 * Not refused but reported, the first of each: bytes in strings that are not UTF-8, and NULs (as
 * \u0000). For json.c alone; a function takes time linear in length and no recursion.
 */
#ifndef LASTWORD_LIB_DOCUMENT_JSON_PARSE_H
#define LASTWORD_LIB_DOCUMENT_JSON_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/document/arena.h"

typedef struct cJSON json;

#define JSON_PARSE_DEPTH_MAX 1000

struct json_parsed {
	json *root;
	size_t not_utf8;  /* offset of a byte; SIZE_MAX: there is none */
	size_t nul;       /* offset of an escape; SIZE_MAX: there is none */
	bool keys_differ; /* in no object is a key given twice; false: perhaps (json_keys.h) */
};

/* keep_numbers: a number's node has its text as valuestring. False: it is not JSON, nested deeper
 * than JSON_PARSE_DEPTH_MAX, or the arena is full. */
bool json_parse_tree(struct arena *arena, const char *text, size_t length, bool keep_numbers,
                     struct json_parsed *ret_parsed, struct error *error);

#endif
