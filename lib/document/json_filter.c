#include "lib/document/json_filter.h"

#include <stdint.h>
#include <string.h>

#define PREFIX_SIZE 4 /* comma, two quotes, colon */

size_t json_filter_text_max(const struct json_filter *filter)
{
	return filter->text_max == 0 ? JSON_FILTER_TEXT_MAX : filter->text_max;
}

bool json_filter_is_wildcard(const struct json_filter *filter)
{
	size_t length = strlen(filter->key);
	return length > 0 && filter->key[length - 1] == '*';
}

/* The sum may not pass a quarter of the address space: a table that asks for more is a mistake. */
static bool add(size_t *sum, size_t count, size_t size)
{
	return !__builtin_mul_overflow(count, size, &size) &&
	       !__builtin_add_overflow(*sum, size, sum) && *sum < SIZE_MAX / 4;
}

static bool is_sound(const struct json_filter *member, unsigned depth)
{
	return (!json_filter_is_wildcard(member) || member->extra) &&
	       (!member->each || (depth == 1 && member->members != NULL && !member->extra));
}

/* The largest text of an object with these members, but for extra ones; depth: its level, from 1.
 * Walks the table, whose depth is bounded. False: it breaks a rule. */
static bool object_bound(const struct json_filter *members, unsigned depth, size_t *ret_bound)
{
	size_t sum = 2;
	size_t count = 0;
	if (depth >= JSON_FILTER_DEPTH_MAX) /* an array in it would be one level deeper */
		return false;
	for (const struct json_filter *m = members; m->key != NULL; m++) {
		size_t one = json_filter_text_max(m) + 2;
		one = one < JSON_FILTER_WORD_MAX ? JSON_FILTER_WORD_MAX : one;
		if (++count > JSON_FILTER_MEMBERS_MAX || !is_sound(m, depth) ||
		    (m->members != NULL && !object_bound(m->members, depth + 2, &one)))
			return false;
		if (m->extra || m->each)
			continue;
		one = one < 4 ? 4 : one; /* null */
		size_t value = m->elements_max == 0 ? one : 2;
		if ((m->elements_max > 0 && !add(&value, m->elements_max, one + 1)) ||
		    !add(&sum, 1, PREFIX_SIZE + strlen(m->key)) || !add(&sum, 1, value))
			return false;
	}
	*ret_bound = sum;
	return true;
}

size_t json_filter_bound(const struct json_filter *members, size_t extra_max)
{
	size_t element = 0;
	size_t bound;
	bool each = false;
	bool extra = false;
	if (!object_bound(members, 1, &bound))
		return 0;
	for (const struct json_filter *m = members; m->key != NULL; m++) {
		extra = extra || m->extra;
		if (m->each && (each || !object_bound(m->members, 3, &element)))
			return 0;
		each = each || m->each;
	}
	element = each && element < 4 ? 4 : element;
	if ((each && extra) || !add(&bound, 1, element) || !add(&bound, 1, extra_max))
		return 0;
	return bound;
}
