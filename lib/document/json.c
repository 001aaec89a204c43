#include "lib/document/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/decimal.h"
#include "lib/document/json_keys.h"
#include "lib/document/json_parse.h"
#include "lib/document/json_tree.h"

/* ---- Nodes come from arenas: cJSON allocates none, and those that it gives up stay ---- */

static void *hook_allocate(size_t size)
{
	(void)size;
	return NULL;
}

static void hook_free(void *memory)
{
	(void)memory; /* it is freed with its arena */
}

/* Before main() and all threads. */
__attribute__((constructor)) static void install_hooks(void)
{
	cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = hook_allocate, .free_fn = hook_free});
}

/* ---- Parsing ---- */

_Static_assert(JSON_DEPTH_MAX == JSON_PARSE_DEPTH_MAX, "whoever walks a tree relies on it");

enum json_fidelity json_parse(struct arena *arena, const char *text, size_t length, unsigned flags,
                              json **ret_root, struct error *error)
{
	struct json_parsed parsed;
	if (!json_parse_tree(arena, text, length, (flags & JSON_KEEP_NUMBERS) != 0, &parsed, error))
		return JSON_INVALID;
	*ret_root = parsed.root;
	if (parsed.not_utf8 != SIZE_MAX)
		error_set(error, "not UTF-8 at byte %zu", parsed.not_utf8);
	else if (parsed.nul != SIZE_MAX)
		error_set(error, "a string with a NUL (\\u0000) at byte %zu", parsed.nul);
	else if (parsed.keys_differ ||
	         json_check_keys(arena, (flags & JSON_LAST_KEY) != 0, parsed.root, error))
		return JSON_FAITHFUL;
	return JSON_FLAWED;
}

/* ---- Work: every node that is looked at counts one ---- */

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
	struct walk walk;
	for (walk_begin(&walk, root); walk.node != NULL; walk_next(&walk))
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

json *json_get_tagged(const json *object, const char *key, unsigned tag)
{
	if (!is_type(object, cJSON_Object) || !may_have(object, tag))
		return NULL;
	uint64_t left = work_left;
	json *member = object->child;
	while (member != NULL && left > 0) {
		left--;
		if (node_tag(member) == tag && strcmp(member->string, key) == 0)
			break;
		member = left == 0 ? NULL : member->next;
	}
	work_left = left;
	return member;
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

/* Makes what cJSON's own functions would, but takes the memory from the arena directly. */
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

json *json_new_string_ref(struct arena *arena, const char *text)
{
	json *node = text == NULL ? NULL : new_node(arena, cJSON_String);
	if (node != NULL)
		node->valuestring = (char *)text;
	return node;
}

static json *new_number(struct arena *arena, const char *text, size_t length, double value)
{
	json *node = new_string(arena, text, length);
	if (node == NULL)
		return NULL;
	node->type = cJSON_Number;
	cJSON_SetNumberHelper(node, value);
	return node;
}

json *json_new_integer(struct arena *arena, int64_t value)
{
	char text[DECIMAL_SIZE];
	size_t length = decimal_print_signed(value, text);
	return new_number(arena, text, length, (double)value);
}

json *json_new_number_text(struct arena *arena, const char *text)
{
	return new_number(arena, text, strlen(text), strtod(text, NULL));
}

static json *copy_node(struct arena *arena, const json *node)
{
	json *copy = new_node(arena, node->type & 0xFF);
	if (copy == NULL)
		return NULL;
	copy->valueint = node->valueint;
	copy->valuedouble = node->valuedouble;
	if (node->valuestring != NULL)
		copy->valuestring = arena_copy(arena, node->valuestring, strlen(node->valuestring));
	if (node->string != NULL)
		set_key(copy, arena_copy(arena, node->string, strlen(node->string)),
		        node_tag(node));
	bool whole = (copy->valuestring == NULL) == (node->valuestring == NULL) &&
	             (copy->string == NULL) == (node->string == NULL);
	return whole ? copy : NULL;
}

/* By hand: cJSON_Duplicate() recurses, and allocates each text through the hooks. */
json *json_duplicate(struct arena *arena, const json *node)
{
	json *open[JSON_DEPTH_MAX + 1]; /* the copies of walk.parents */
	struct walk walk;
	walk_begin(&walk, node);
	json *root = node == NULL ? NULL : copy_node(arena, node);
	json *copy = root;
	while (copy != NULL) {
		size_t depth = walk.depth;
		walk_next(&walk);
		if (walk.node == NULL)
			return root;
		if (walk.depth > depth)
			open[depth] = copy;
		copy = copy_node(arena, walk.node);
		if (copy != NULL)
			link_last(open[walk.depth - 1], copy);
	}
	return NULL;
}

static json *share_node(struct arena *arena, const json *node)
{
	json *copy = arena_take(arena, sizeof *copy);
	if (copy == NULL)
		return NULL;
	*copy = *node;
	copy->next = copy->prev = NULL;
	copy->type &= ~cJSON_IsReference;
	return copy;
}

json *json_share(struct arena *arena, const json *node)
{
	json *copy = share_node(arena, node);
	if (copy == NULL)
		return NULL;
	copy->child = NULL;
	for (const json *child = node->child; child != NULL; child = child->next) {
		json *part = share_node(arena, child);
		if (part == NULL)
			return NULL;
		part->type |= cJSON_IsReference;
		link_last(copy, part);
	}
	return copy;
}

bool json_is_shared(const json *node)
{
	return node != NULL && (node->type & cJSON_IsReference) != 0;
}

bool json_add_member_tagged(json *object, const char *key, unsigned tag, json *value)
{
	if (object == NULL || key == NULL || value == NULL)
		return false;
	set_key(value, (char *)key, tag);
	link_last(object, value);
	return true;
}

bool json_add_member(struct arena *arena, json *object, const char *key, json *value)
{
	size_t length = strlen(key);
	return json_add_member_tagged(object, arena_copy(arena, key, length), json_tag(key, length),
	                              value);
}

bool json_append(json *array, json *value)
{
	if (array == NULL || value == NULL)
		return false;
	link_last(array, value);
	return true;
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
	return json_replace(object, old_node, value);
}

bool json_replace(json *parent, json *old_node, json *value)
{
	/* An element keeps no key; a member takes over the key of the one it replaces. */
	set_key(value, old_node->string, node_tag(old_node));
	return cJSON_ReplaceItemViaPointer(parent, old_node, value);
}

void json_remove(json *parent, json *node)
{
	cJSON_DetachItemViaPointer(parent, node);
}
