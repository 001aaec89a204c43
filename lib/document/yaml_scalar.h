/*
 * yaml_scalar: what a YAML scalar without quotes is, as kubectl reads it (sigs.k8s.io/yaml, go-yaml
 * v2: the booleans of YAML 1.1, 0x and 0 octal integers, floats that JSON can write). Pure.
 */
#ifndef LASTWORD_LIB_DOCUMENT_YAML_SCALAR_H
#define LASTWORD_LIB_DOCUMENT_YAML_SCALAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/document/json.h"

enum yaml_scalar {
	YAML_IS_STRING,
	YAML_IS_NULL,
	YAML_IS_TRUE,
	YAML_IS_FALSE,
	YAML_IS_INTEGER,
	YAML_IS_FLOAT,
};

/* plain: scratch; for a number its text without the underscores that it may have. A text that does
 * not fit there is a string. *ret_integer is set for YAML_IS_INTEGER only. */
enum yaml_scalar yaml_resolve(const char *text, char *plain, size_t plain_size,
                              int64_t *ret_integer);

/* The scalar's value as a node; NULL when the arena is full. */
json *yaml_plain_node(struct arena *arena, const char *text);

/* The tag is one of the core schema's; *ret_string: it makes a string of whatever it stands at. */
bool yaml_tag_known(const char *tag, bool *ret_string);

#endif
