/*
 * json_scanner: the grammar of JSON (RFC 8259), for text that comes in pieces. It keeps nothing of
 * the text but where it is in it, and reports what it meets.
 *
 * The text is any number of objects one after the other, with or without space between them: one
 * for an ordinary response, one for each event of a watch. Strict, but for one thing: bytes of
 * strings that are not UTF-8 pass. No allocation, no recursion, no third-party library. Every byte
 * is looked at once, wherever the pieces are cut; what is reported does not depend on the cuts, but
 * for a string's content, which may come in more parts.
 *
 * States: between two objects, inside one, failed (not JSON), stopped (a receiver said so). The
 * last two are final.
 */
#ifndef LASTWORD_LIB_DOCUMENT_JSON_SCANNER_H
#define LASTWORD_LIB_DOCUMENT_JSON_SCANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

#define JSON_SCANNER_DEPTH_MAX  1000 /* levels of nesting; deeper text is refused */
#define JSON_SCANNER_ESCAPE_MAX 6    /* bytes of \uXXXX */

enum json_shape { JSON_SHAPE_OBJECT, JSON_SHAPE_ARRAY, JSON_SHAPE_STRING, JSON_SHAPE_WORD };

/* What is reported, in the order of the text. A word is a number, true, false or null. `depth` of
 * the scanner is the number of levels around the value or key that it is about. */
struct json_events {
	void (*key)(void *context); /* a key begins: content, escape, then key_end */
	void (*key_end)(void *context);
	void (*value)(void *context, enum json_shape shape); /* a value begins */
	/* Bytes of the present key, string or word, as they are written; no quotes, no escape. */
	void (*content)(void *context, const char *bytes, size_t length);
	/* An escape in the present key or string: as written, and the UTF-16 code unit that it is.
	 */
	void (*escape)(void *context, const char *text, size_t length, unsigned code);
	void (*value_end)(void *context, enum json_shape shape);
};

struct json_scanner {
	const struct json_events *events;
	void *context; /* of the events */
	unsigned place;
	unsigned depth;
	unsigned number;     /* how far in a number */
	const char *literal; /* what has to follow of true, false or null */
	bool in_key;
	char escape[JSON_SCANNER_ESCAPE_MAX];
	unsigned escape_length;
	uint64_t arrays[(JSON_SCANNER_DEPTH_MAX + 63) / 64]; /* bit n: level n is an array */
	uint64_t position;                                   /* bytes that are read */
	uint64_t work;       /* steps, ever, of which each reads a byte or ends a number */
	const char *problem; /* it failed; NULL: it did not */
	bool stopped;
};

/* events: a table that outlives the scanner. */
void json_scanner_init(struct json_scanner *scanner, const struct json_events *events,
                       void *context);

/* False: it is not JSON (error is set, as for every further call), or it was stopped (error is
 * untouched). */
bool json_scanner_feed(struct json_scanner *scanner, const char *bytes, size_t length,
                       struct error *error);

/* For the events: nothing more is read. */
static inline void json_scanner_stop(struct json_scanner *scanner)
{
	scanner->stopped = true;
}

/* The text may end here: no object is half read. */
bool json_scanner_is_between(const struct json_scanner *scanner);

#endif
