/*
 * yaml_scalar: what a YAML scalar is, as kubectl reads it (sigs.k8s.io/yaml over go-yaml v2: the
 * booleans of YAML 1.1, integers in four bases, numbers with underscores, tags). Pure.
 */
#ifndef LASTWORD_LIB_DOCUMENT_YAML_SCALAR_H
#define LASTWORD_LIB_DOCUMENT_YAML_SCALAR_H

#include <stdbool.h>

#include "lib/base/error.h"
#include "lib/document/json.h"

enum yaml_scalar {
	YAML_IS_STRING,
	YAML_IS_NULL,
	YAML_IS_TRUE,
	YAML_IS_FALSE,
	YAML_IS_INTEGER,
	YAML_IS_FLOAT,
	YAML_IS_NOT_FINITE, /* .inf or .nan, which JSON cannot say */
};

/* What a scalar without quotes and tag is. Of a number its text as JSON writes it is appended to
 * number; ask buffer_ok(). */
enum yaml_scalar yaml_resolve(const char *text, struct buffer *number);

/*
 * The scalar's value as a node of the arena. tag may be NULL; quoted: it is in quotes or a block. A
 * tag that is not of YAML's core schema makes a string of the text. False with error when the tag
 * does not fit the text, JSON has no such value, or the arena is full.
 */
bool yaml_scalar_node(struct arena *arena, const char *text, const char *tag, bool quoted,
                      json **ret_node, struct error *error);

/* The text that a scalar is as a key: 1e3 is "1000", on is "true". False with error for a null, or
 * an integer beyond 64 bits; kubectl refuses them. */
bool yaml_key_text(struct arena *arena, const json *node, const char **ret_key,
                   struct error *error);

/* The tag is one of the core schema's; *ret_string: it makes a string of every text. */
bool yaml_tag_known(const char *tag, bool *ret_string);

#endif
