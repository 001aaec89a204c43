/* Two JSON trees compared: for the tests, which also compare trees that one of their authors wrote
 * by hand. */
#ifndef LASTWORD_TESTS_JSON_EQUAL_H
#define LASTWORD_TESTS_JSON_EQUAL_H

#include <string.h>

#include "lib/document/json.h"

static inline bool json_same_number(const json *a, const json *b)
{
	double first = 0;
	double second = 0;
	if (json_number_text(a) != NULL && json_number_text(b) != NULL)
		return strcmp(json_number_text(a), json_number_text(b)) == 0;
	return json_double(a, &first) && json_double(b, &second) && !(first < second) &&
	       !(first > second);
}

/* Same value, whatever the order of members. Numbers: by text where both have it, else by value.
 * Recursive, as deep as the trees are: JSON_DEPTH_MAX. */
static inline bool json_equal(const json *a, const json *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (strcmp(json_type_name(a), json_type_name(b)) != 0 || json_size(a) != json_size(b))
		return false;
	if (json_is_number(a))
		return json_same_number(a, b);
	if (json_is_bool(a))
		return json_is_true(a) == json_is_true(b);
	if (json_string(a) != NULL)
		return strcmp(json_string(a), json_string(b)) == 0;
	const json *other = json_first(b);
	for (const json *n = json_first(a); n != NULL; n = json_next(n), other = json_next(other))
		if (!json_equal(n, json_is_object(a) ? json_get(b, json_key(n)) : other))
			return false;
	return true;
}

#endif
