/*
 * json_stream: reads JSON of any size from a stream and keeps a small part of it, as JSON text.
 *
 * The bytes come in pieces, cut anywhere; json_scanner.h says what text is taken. A filter
 * (json_filter.h) names what is kept of each object; everything else is checked and skipped where
 * it stands. What is kept of an object is given to take() when the object is complete. An array
 * that the filter marks with `each` is not kept: its elements are given to take() one by one
 * instead, as soon as each is complete. So a list of any length, of objects of any size, needs the
 * memory of what is kept of one object.
 *
 * No allocation, no recursion, no third-party library; the work is linear in the bytes.
 *
 * Invariants:
 *  - What is kept always fits: json_stream_init() refuses storage that the filter could overflow.
 *  - What take() gets is JSON that any parser reads to the same tree: no key of the filter is in an
 *    object twice, and no NUL and no half of a surrogate pair is in a string (they are U+FFFD).
 *    Bytes that are not UTF-8 are passed on as they came.
 *  - The result depends on the bytes alone, not on where the pieces were cut.
 *
 * What becomes of a member that the filter names when
 *   it is given twice                      the first is kept, as json_get() would take it
 *   it has another shape (an object for a  null
 *   string, an array in an array)
 *   its string or number is too long       null                                   *
 *   its array has too many elements        the first elements_max are kept        *
 *   it is `extra`, and there is no budget  it is left out, or null                *
 * For what is marked *, the piece is reported as `cut`.
 */
#ifndef LASTWORD_LIB_DOCUMENT_JSON_STREAM_H
#define LASTWORD_LIB_DOCUMENT_JSON_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/base/error.h"
#include "lib/document/json_filter.h"
#include "lib/document/json_scanner.h"

#define JSON_STREAM_KEY_MAX 384 /* bytes of a key; longer ones are kept by no filter */

/* What was kept of one object. */
struct json_piece {
	const char *text; /* JSON, with a NUL behind it; valid until take() returns */
	size_t length;
	bool element; /* of the `each` array; else an outermost object */
	bool cut;     /* something that the filter names was too large and is not there */
};

/* false: no more is wanted. */
typedef bool json_stream_take(void *context, const struct json_piece *piece);

struct json_frame { /* a kept object or array that is open */
	const struct json_filter *filter;
	uint64_t seen; /* entries of filter->members that this object has had */
	size_t count;  /* members or elements that are written */
	size_t name;   /* where the text of its member "name" is, without quotes; 0: nowhere */
	size_t name_length;
	bool array;
	bool extra;
};

struct json_stream {
	struct json_scanner scanner;
	struct json_filter root; /* of the outermost objects */
	struct buffer out;       /* what is kept of the outermost object, then of the element */
	size_t extra_max;
	size_t extra_used;    /* of this outermost object, or element */
	size_t element_start; /* in out */
	bool element_cut;
	bool object_cut;
	struct json_frame frames[JSON_FILTER_DEPTH_MAX]; /* of the outermost levels */
	unsigned frame_count;
	/* the present key */
	char key[JSON_STREAM_KEY_MAX]; /* as it is meant */
	size_t key_length;
	bool key_escaped;                 /* there was an escape in it */
	bool key_lost;                    /* too long, or not ASCII where it was escaped */
	const struct json_filter *member; /* of the value that follows; NULL: it is skipped */
	/* the present string or word */
	bool copying;
	bool extra;
	size_t start;     /* in out */
	size_t text_left; /* bytes that it may still have */
	size_t high;      /* where in out a high surrogate's escape has just ended; 0: none has */
	uint64_t objects; /* outermost ones that are complete */
	uint64_t keys;    /* compared with the filter, ever: with scanner.work all the work */
	/* of the json_stream_feed() that is under way */
	json_stream_take *take;
	void *context;
};

/* storage: the caller's, size bytes, used as long as the stream; extra_max: bytes for `extra`
 * members. False: the filter could keep more than storage holds, or breaks a rule. The stream must
 * stay where it is. */
bool json_stream_init(struct json_stream *stream, const struct json_filter *members,
                      size_t extra_max, char *storage, size_t size, struct error *error);

/* False: it is not JSON (error is set), or take() wanted no more (it is untouched). */
bool json_stream_feed(struct json_stream *stream, const char *bytes, size_t length,
                      json_stream_take *take, void *context, struct error *error);

/* It was not JSON. */
static inline bool json_stream_failed(const struct json_stream *stream)
{
	return stream->scanner.problem != NULL;
}

/* The stream may end here: no object is half read. */
static inline bool json_stream_is_between(const struct json_stream *stream)
{
	return json_scanner_is_between(&stream->scanner);
}

#endif
