#include "lib/document/json.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/document/json_tree.h"

_Static_assert(JSON_DEPTH_MAX == CJSON_NESTING_LIMIT, "cJSON's parser refuses deeper nesting");

/* ---- cJSON allocates from the arena that this thread is working in ---- */

/* Its allocator hooks take no context. */
static _Thread_local struct arena *current;

static void *hook_allocate(size_t size)
{
	return current == NULL ? NULL : arena_take(current, size);
}

static void hook_free(void *memory)
{
	(void)memory; /* goes with its arena */
}

static void install_hooks(void)
{
	cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = hook_allocate, .free_fn = hook_free});
}

static void enter(struct arena *arena)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, install_hooks);
	current = arena;
}

/* ---- Parsing ---- */

/* Gives every number node its own text: tokens and nodes come in the same order. */
static bool keep_numbers(struct arena *arena, const char *text, size_t length, json *root)
{
	size_t at = 0;
	for (struct walk walk = {.node = root}; walk.node != NULL; walk_next(&walk)) {
		if (!is_type(walk.node, cJSON_Number))
			continue;
		bool in_string = false;
		while (at < length) {
			char c = text[at];
			if (c == '"')
				in_string = !in_string;
			else if (in_string && c == '\\')
				at++;
			else if (!in_string && (c == '-' || (c >= '0' && c <= '9')))
				break;
			at++;
		}
		size_t start = at;
		while (at < length && strchr("+-.0123456789eE", text[at]) != NULL && text[at] != 0)
			at++;
		char *copy = arena_copy(arena, text + start, at - start);
		if (copy == NULL)
			return false;
		((json *)walk.node)->valuestring = copy;
	}
	return true;
}

static void set_syntax_error(struct error *error, const char *text, size_t length, const char *end)
{
	size_t at = end == NULL || end < text ? 0 : (size_t)(end - text);
	if (at + 1 >= length)
		error_set(error, "not JSON: ends at byte %zu in the middle of a value", length);
	else
		error_set(error, "not JSON (or nested deeper than %d, or too large) at byte %zu",
		          JSON_DEPTH_MAX, at);
}

static bool only_space(const char *text, const char *end)
{
	for (; text < end; text++)
		if (strchr(" \t\r\n", *text) == NULL || *text == '\0')
			return false;
	return true;
}

/* Offset of a byte below 0x20 that is no white space between values: RFC 8259 wants it escaped
 * (section 7) or takes it for no space (section 2), cJSON lets it pass; length if there is none.
 * Most texts have none anywhere: they are looked at once, in a loop that the compiler makes fast.
 */
static size_t find_control_character(const char *text, size_t length)
{
	unsigned char any = 0;
	for (size_t i = 0; i < length; i++)
		any |= (unsigned char)text[i] < 0x20;
	bool in_string = false;
	for (size_t i = 0; any != 0 && i < length; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x20 && (in_string || strchr("\t\n\r", c) == NULL))
			return i;
		if (c == '"')
			in_string = !in_string;
		else if (in_string && c == '\\')
			i++;
	}
	return length;
}

enum json_fidelity json_parse(struct arena *arena, const char *text, size_t length, unsigned flags,
                              json **ret_root, struct error *error)
{
	if (length > 0 && memchr(text, '\0', length) != NULL) {
		error_set(error, "not JSON: a NUL byte at byte %zu",
		          (size_t)((const char *)memchr(text, '\0', length) - text));
		return JSON_INVALID;
	}

	size_t control = find_control_character(text, length);
	if (control < length) {
		error_set(error, "not JSON: a control character at byte %zu", control);
		return JSON_INVALID;
	}

	const char *end = NULL;
	enter(arena);
	json *root = cJSON_ParseWithLengthOpts(text, length, &end, 0);
	current = NULL;
	if (root == NULL) {
		set_syntax_error(error, text, length, end);
		return JSON_INVALID;
	}
	if (!only_space(end, text + length)) {
		error_set(error, "not JSON: something follows the value at byte %zu",
		          (size_t)(end - text));
		return JSON_INVALID;
	}
	if ((flags & JSON_KEEP_NUMBERS) && !keep_numbers(arena, text, length, root)) {
		error_set(error, "too large: no room left to keep its numbers");
		return JSON_INVALID;
	}
	enum json_fidelity fidelity =
	        json_examine(arena, text, length, (flags & JSON_LAST_KEY) != 0, root, error);
	*ret_root = root;
	return fidelity;
}

/* ---- Work: every node that is looked at takes one ---- */

/* What this thread may still look at. */
static _Thread_local uint64_t work_left = UINT64_MAX;

void json_work_begin(uint64_t limit)
{
	work_left = limit;
}

uint64_t json_work_left(void)
{
	return work_left;
}

void json_work_add(uint64_t amount)
{
	work_left -= amount < work_left ? amount : work_left;
}

static inline bool may_look(void)
{
	if (work_left == 0)
		return false;
	work_left--;
	return true;
}

size_t json_count(const json *root)
{
	size_t count = 0;
	for (struct walk walk = {.node = root}; walk.node != NULL; walk_next(&walk))
		count++;
	return count;
}

/* ---- Reading ---- */

bool json_is_object(const json *node)
{
	return is_type(node, cJSON_Object);
}

bool json_is_array(const json *node)
{
	return is_type(node, cJSON_Array);
}

bool json_is_string(const json *node)
{
	return is_type(node, cJSON_String);
}

bool json_is_number(const json *node)
{
	return is_type(node, cJSON_Number);
}

bool json_is_bool(const json *node)
{
	return (is_type(node, cJSON_True) || is_type(node, cJSON_False));
}

bool json_is_null(const json *node)
{
	return is_type(node, cJSON_NULL);
}

bool json_is_true(const json *node)
{
	return is_type(node, cJSON_True);
}

const char *json_type_name(const json *node)
{
	if (node == NULL)
		return "nothing";
	switch (node->type & 0xFF) {
	case cJSON_Object:
		return "object";
	case cJSON_Array:
		return "array";
	case cJSON_String:
		return "string";
	case cJSON_Number:
		return "number";
	case cJSON_True:
	case cJSON_False:
		return "boolean";
	default:
		return "null";
	}
}

json *json_get(const json *object, const char *key)
{
	if (!is_type(object, cJSON_Object))
		return NULL;
	for (json *member = object->child; member != NULL && may_look(); member = member->next)
		if (same_key(member->string, key))
			return member;
	return NULL;
}

json *json_find(const json *node, ...)
{
	va_list keys;
	va_start(keys, node);
	json *found = (json *)node;
	const char *key;
	while (found != NULL && (key = va_arg(keys, const char *)) != NULL)
		found = json_get(found, key);
	va_end(keys);
	return found;
}

json *json_at(const json *array, size_t index)
{
	json *element = is_type(array, cJSON_Array) ? array->child : NULL;
	while (element != NULL && index-- > 0)
		element = may_look() ? element->next : NULL;
	return element;
}

size_t json_size(const json *node)
{
	size_t size = 0;
	for (const json *n = json_first(node); n != NULL; n = json_next(n))
		size++;
	return size;
}

json *json_first(const json *container)
{
	bool holds = is_type(container, cJSON_Array) || is_type(container, cJSON_Object);
	return holds && may_look() ? container->child : NULL;
}

json *json_next(const json *node)
{
	return node != NULL && may_look() ? node->next : NULL;
}

const char *json_key(const json *node)
{
	return node == NULL ? NULL : node->string;
}

const char *json_string(const json *node)
{
	return is_type(node, cJSON_String) ? node->valuestring : NULL;
}

const char *json_get_string(const json *object, const char *key)
{
	return json_string(json_get(object, key));
}

const char *json_get_string_or(const json *object, const char *key, const char *fallback)
{
	const char *text = json_get_string(object, key);
	return text == NULL ? fallback : text;
}

bool json_string_is(const json *node, const char *text)
{
	const char *own = json_string(node);
	return own != NULL && strcmp(own, text) == 0;
}

bool json_integer(const json *node, int64_t *ret_value)
{
	const double exact = 9007199254740992.0; /* 2^53: beyond it doubles skip integers */
	if (!is_type(node, cJSON_Number) || !(fabs(node->valuedouble) <= exact))
		return false;
	int64_t value = (int64_t)node->valuedouble;
	if ((double)value != node->valuedouble)
		return false;
	*ret_value = value;
	return true;
}

bool json_double(const json *node, double *ret_value)
{
	if (!is_type(node, cJSON_Number) || !isfinite(node->valuedouble))
		return false;
	*ret_value = node->valuedouble;
	return true;
}

const char *json_number_text(const json *node)
{
	return is_type(node, cJSON_Number) ? node->valuestring : NULL;
}

const char *json_scalar_text(const json *node)
{
	return is_type(node, cJSON_Number) ? json_number_text(node) : json_string(node);
}

/* ---- Making and changing ---- */

/* What cJSON's own makers make, without their detour through its allocator. */
static json *new_node(struct arena *arena, int type)
{
	json *node = arena_allocate(arena, sizeof *node);
	if (node != NULL)
		node->type = type;
	return node;
}

json *json_new_object(struct arena *arena)
{
	return new_node(arena, cJSON_Object);
}

json *json_new_array(struct arena *arena)
{
	return new_node(arena, cJSON_Array);
}

json *json_new_null(struct arena *arena)
{
	return new_node(arena, cJSON_NULL);
}

json *json_new_bool(struct arena *arena, bool value)
{
	return new_node(arena, value ? cJSON_True : cJSON_False);
}

static json *new_string(struct arena *arena, const char *text, size_t length)
{
	json *node = new_node(arena, cJSON_String);
	char *copy = node == NULL ? NULL : arena_copy(arena, text, length);
	if (copy == NULL)
		return NULL;
	node->valuestring = copy;
	return node;
}

json *json_new_string(struct arena *arena, const char *text)
{
	return new_string(arena, text, strlen(text));
}

json *json_new_integer(struct arena *arena, int64_t value)
{
	char text[32];
	snprintf(text, sizeof text, "%" PRId64, value);
	return json_new_number_text(arena, text);
}

json *json_new_number_text(struct arena *arena, const char *text)
{
	json *node = json_new_string(arena, text);
	if (node == NULL)
		return NULL;
	node->type = cJSON_Number;
	cJSON_SetNumberHelper(node, strtod(text, NULL));
	return node;
}

json *json_duplicate(struct arena *arena, const json *node)
{
	enter(arena);
	json *copy = cJSON_Duplicate(node, 1);
	current = NULL;
	return copy;
}

bool json_add_member(struct arena *arena, json *object, const char *key, json *value)
{
	enter(arena);
	bool added = value != NULL && cJSON_AddItemToObject(object, key, value);
	current = NULL;
	return added;
}

bool json_append(json *array, json *value)
{
	return value != NULL && cJSON_AddItemToArray(array, value);
}

/* By hand: cJSON_InsertItemInArray() of 1.7.16, and of Debian 12's patched 1.7.15, refuses every
 * insertion before an element that is not the first (it looks at the wrong item's prev). */
bool json_insert(json *array, size_t index, json *value)
{
	json *after = json_at(array, index);
	if (value == NULL || (after == NULL && index != json_size(array)))
		return false;
	if (after == NULL)
		return json_append(array, value);
	value->next = after;
	value->prev = after->prev; /* of the first element: the last one */
	if (after == array->child)
		array->child = value;
	else
		after->prev->next = value;
	after->prev = value;
	return true;
}

bool json_set_member(struct arena *arena, json *object, const char *key, json *value)
{
	json *old_node = json_get(object, key);
	if (old_node == NULL)
		return json_add_member(arena, object, key, value);
	if (value == NULL)
		return false;
	value->string = old_node->string;
	return json_replace(object, old_node, value);
}

bool json_replace(json *parent, json *old_node, json *value)
{
	/* An element keeps no key; a member takes over the key of the one it replaces. */
	value->string = old_node->string;
	return cJSON_ReplaceItemViaPointer(parent, old_node, value);
}

void json_remove(json *parent, json *node)
{
	cJSON_DetachItemViaPointer(parent, node);
}
