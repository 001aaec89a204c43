/*
 * json_fidelity: whether a JSON tree says what its text says. cJSON takes a key that is given
 * twice, bytes that are not UTF-8 and a NUL that cuts a string short; a decision must not rest on
 * those.
 */
#ifndef LASTWORD_LIB_DOCUMENT_JSON_FIDELITY_H
#define LASTWORD_LIB_DOCUMENT_JSON_FIDELITY_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/document/arena.h"

typedef struct cJSON json;

enum json_fidelity {
	JSON_INVALID,  /* not JSON, too deep (JSON_DEPTH_MAX), or too large for the arena */
	JSON_FLAWED,   /* a tree, but the text was not what it seems: a key given twice, a NUL in a
	                  string, or bytes that are not UTF-8; good for reading a uid, not for
	                  deciding */
	JSON_FAITHFUL, /* the tree says what the text says */
};

/* Looks at a text and the tree that was made of it; error is set unless JSON_FAITHFUL. last_key: of
 * a key given twice the last one stays in the tree, and it is no flaw. */
enum json_fidelity json_examine(struct arena *arena, const char *text, size_t length, bool last_key,
                                json *root, struct error *error);

#endif
