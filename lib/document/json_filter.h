/*
 * json_filter: which members of a JSON object are kept, and how much of each: a static table of the
 * program. Pure.
 *
 * json_filter_bound() adds up the largest text that a table lets through, so that whoever uses one
 * knows before the first byte that the memory he has is enough for whatever comes.
 */
#ifndef LASTWORD_LIB_DOCUMENT_JSON_FILTER_H
#define LASTWORD_LIB_DOCUMENT_JSON_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_FILTER_TEXT_MAX    128 /* of a string, unless the entry says otherwise */
#define JSON_FILTER_WORD_MAX    40  /* of a number, true, false or null */
#define JSON_FILTER_DEPTH_MAX   24  /* levels of objects and arrays that a table can describe */
#define JSON_FILTER_MEMBERS_MAX 64

/* A member that is kept. Lists of them end with a key of NULL. */
struct json_filter {
	/* ASCII, compared as the text means it (escapes are read). One that ends with '*' stands
	 * for all keys that begin so and have no escape in them; such an entry must be `extra`. */
	const char *key;
	/* Of the object, or of the objects in the array; NULL: the value is no object. */
	const struct json_filter *members;
	/* Kept only where an earlier member "name" of the same object is this text, written without
	 * escapes. Kubernetes prints a container's name before the rest of it (core/v1 types.go:
	 * the order of the struct). */
	const char *only_in;
	unsigned text_max;     /* bytes of a string as written; 0: JSON_FILTER_TEXT_MAX */
	unsigned elements_max; /* of an array; 0: the value is no array */
	/* Nice to have: all extra members of a value (with `each`: of an element, and of nothing
	 * else) share one budget. */
	bool extra;
	/* The elements are given away one by one, all of them. One member of the outermost object,
	 * with members. */
	bool each;
};

/* Bytes of the longest string of that entry. */
size_t json_filter_text_max(const struct json_filter *filter);

/* The entry's key ends with '*'. */
bool json_filter_is_wildcard(const struct json_filter *filter);

/* The largest text that is kept of an object with these members, with extra_max bytes for extra
 * ones: of all but the `each` array, and one of its elements. 0: the table breaks a rule of struct
 * json_filter. */
size_t json_filter_bound(const struct json_filter *members, size_t extra_max);

#endif
