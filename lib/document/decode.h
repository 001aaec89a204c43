/*
 * decode: a YAML tree into C structures, strictly: tables of keys, one function for each type of
 * value. The first mistake ends it; its error has line, column, the path of keys and what was
 * expected. What is decoded belongs to the decoder's arena.
 *
 * A decoding function gets the value's node, its path for messages and where the value goes; it
 * returns false after decode_fail(). What it writes on failure is not read.
 */
#ifndef LASTWORD_LIB_DOCUMENT_DECODE_H
#define LASTWORD_LIB_DOCUMENT_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/document/json.h"
#include "lib/document/yaml.h"
#include "lib/document/strings.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct decoder {
	struct arena *arena;
	const struct yaml_document *document;
	struct error *error;
};

typedef bool decode_function(struct decoder *decoder, const json *node, const char *path,
                             void *target);

/* Where a value goes: key by key, each with the function that reads it. */
struct field {
	const char *key;
	decode_function *decode;
	size_t offset;
	bool required;
};

/* Always false. */
bool decode_fail(struct decoder *decoder, const json *node, const char *path, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));
bool decode_no_memory(struct decoder *decoder);
/* A value for messages: its text, or its type. */
const char *decode_shown(const json *node);
/* The path of a key below path. */
const char *decode_join(struct decoder *decoder, const char *path, const char *key);

/* A mapping whose keys are those of the table; each value goes to target + its offset. */
bool decode_fields(struct decoder *decoder, const json *node, const char *path,
                   const struct field *fields, size_t count, void *target);

struct choice {
	const char *text;
	int value;
};
/* One of a few words. */
bool decode_choice(struct decoder *decoder, const json *node, const char *path,
                   const struct choice *choices, size_t count, int *ret_value);

decode_function decode_text;     /* const char *: a string that is not empty */
decode_function decode_duration; /* int64_t: nanoseconds, 0 or more */
decode_function decode_path;     /* const char *: an absolute path */
decode_function decode_list;     /* struct strings: a list of strings that are not empty */

/* A quantity, 0 or more, as its text. */
bool decode_quantity(struct decoder *decoder, const json *node, const char *path,
                     const char **ret_text);
/* A size in bytes, as a quantity: 64Ki. */
bool decode_size(struct decoder *decoder, const json *node, const char *path, int64_t least,
                 int64_t most, int64_t *ret_size);

/* The elements of a list of mappings, each decoded by its own function. */
bool decode_elements(struct decoder *decoder, const json *node, const char *path,
                     size_t element_size, decode_function *decode, void **ret_elements,
                     size_t *ret_count);

#endif
