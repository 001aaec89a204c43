/*
 * json_keys: keys that a JSON text gives twice in one object. RFC 8259 leaves their meaning open; a
 * decision must not rest on one of them. For json.c alone; linear in the tree's size.
 */
#ifndef LASTWORD_LIB_DOCUMENT_JSON_KEYS_H
#define LASTWORD_LIB_DOCUMENT_JSON_KEYS_H

#include <stdbool.h>

#include "lib/base/error.h"
#include "lib/document/arena.h"

typedef struct cJSON json;

/* False, with error: a key is given twice, or there is no memory to look. last_key: of such members
 * the last one stays in the tree, and it is no error. */
bool json_check_keys(struct arena *arena, bool last_key, json *root, struct error *error);

#endif
