/*
 * yaml: YAML documents as json trees, and back. The only home of libyaml.
 *
 * Scalars mean what they mean to kubectl (sigs.k8s.io/yaml, go-yaml v2: YAML 1.1 booleans such as
 * yes and off, 0x and 0 octal integers); quoted ones are strings; a number keeps its text as far as
 * JSON allows that text. Anchors, aliases and merge keys are resolved; comments are dropped.
 *
 * YAML_AS_KUBECTL reads manifests, where the meaning is kubectl's in every case: of a key given
 * twice the last one counts (with a warning), a merge key works where it stands, keys that are
 * numbers or booleans become text ("on" is "true"), unknown tags are ignored. YAML_STRICT reads
 * files of lastword's own: a key given twice or an unknown tag is refused, a mapping's own members
 * go before merged ones, a key is the text as it stands.
 *
 * Refused in both, with line and column: a key that is a null or no scalar, an unknown alias, .inf
 * and .nan, a value that its tag does not fit, more than YAML_NODES_MAX nodes (aliases count as
 * what they expand to), deeper nesting than YAML_DEPTH_MAX, a NUL in a string, what is not UTF-8.
 *
 * Everything belongs to the arena. Not thread-safe on one arena.
 */
#ifndef LASTWORD_LIB_DOCUMENT_YAML_H
#define LASTWORD_LIB_DOCUMENT_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/document/json.h"

struct buffer;

#define YAML_NODES_MAX ((size_t)500000)
#define YAML_DEPTH_MAX 100

enum yaml_mode { YAML_STRICT, YAML_AS_KUBECTL };

/* Something that kubectl takes and that is hardly meant. */
struct yaml_warning {
	struct yaml_warning *next;
	unsigned line;
	unsigned column;
	const char *text;
};

struct yaml_document {
	json *root;   /* an empty document is null */
	size_t start; /* the text's bytes from here (the end of the one before, behind a byte order
	                 mark) … */
	size_t end;   /* … to here, this one excluded: marker, comments and all */
	const struct yaml_positions *positions; /* shared by all documents of a text, as the next */
	struct yaml_warning *warnings;          /* NULL: none */
};

/* All documents of a text. error begins with "line L, column C: ". */
bool yaml_parse(struct arena *arena, const char *text, size_t length, enum yaml_mode mode,
                struct yaml_document **ret_documents, size_t *ret_count, struct error *error);

/* Exactly one document, in strict mode. */
bool yaml_parse_one(struct arena *arena, const char *text, size_t length,
                    struct yaml_document **ret_document, struct error *error);

/* Where a node of the document stands, or its key, counted from 1; where the root stands for a node
 * made since. For messages: it searches. */
void yaml_position(const struct yaml_document *document, const json *node, bool key,
                   unsigned *ret_line, unsigned *ret_column);

/* In yaml_print.c. A block document, keys in their order, lists not indented (as kubectl prints);
 * strings are quoted exactly when they would be read as something else. No "---". Ask buffer_ok().
 */
void yaml_print(struct buffer *out, const json *node);

#endif
