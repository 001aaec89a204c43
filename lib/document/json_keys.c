#include "lib/document/json_keys.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"
#include "lib/document/json_tree.h"

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *duplicate_by_sorting(struct arena *arena, const json *object, size_t size,
                                        bool *ret_memory)
{
	const char **keys = arena_take(arena, size * sizeof *keys);
	if (keys == NULL) {
		*ret_memory = false;
		return NULL;
	}
	size_t count = 0;
	for (const json *member = object->child; member != NULL; member = member->next)
		keys[count++] = member->string;
	qsort(keys, count, sizeof *keys, compare_keys);
	for (size_t i = 1; i < count; i++)
		if (strcmp(keys[i - 1], keys[i]) == 0)
			return keys[i];
	return NULL;
}

struct key_slot {
	const char *key;
	uint64_t hash;
};

/* In a hash table; keys that somebody made collide are sorted instead. */
static const char *duplicate_by_hash(struct arena *arena, const json *object, size_t size,
                                     bool *ret_memory)
{
	size_t capacity = 64;
	while (capacity < size + size / 2)
		capacity *= 2;
	struct key_slot *slots = arena_allocate(arena, capacity * sizeof *slots);
	if (slots == NULL) {
		*ret_memory = false;
		return NULL;
	}
	size_t collisions = 0;
	for (const json *member = object->child; member != NULL; member = member->next) {
		uint64_t hash = hash_text(member->string);
		size_t at = hash_fold(hash) & (capacity - 1);
		while (slots[at].key != NULL) {
			if (slots[at].hash == hash && same_key(slots[at].key, member->string))
				return member->string;
			at = (at + 1) & (capacity - 1);
			if (++collisions > 8 * size)
				return duplicate_by_sorting(arena, object, size, ret_memory);
		}
		slots[at] = (struct key_slot){.key = member->string, .hash = hash};
	}
	return NULL;
}

/* A key that the object has twice, else NULL. *ret_memory: false when there was none to look. */
static const char *duplicate_key(struct arena *arena, const json *object, bool *ret_memory)
{
	enum { PAIRWISE_MAX = 12 };
	size_t size = 0;
	for (const json *member = object->child; member != NULL && size <= PAIRWISE_MAX;
	     member = member->next, size++)
		for (const json *other = object->child; other != member; other = other->next)
			if (node_tag(other) == node_tag(member) &&
			    same_key(other->string, member->string))
				return member->string;
	if (size <= PAIRWISE_MAX)
		return NULL;
	size = 0;
	for (const json *member = object->child; member != NULL; member = member->next)
		size++;
	return duplicate_by_hash(arena, object, size, ret_memory);
}

/* Of members with the same key the last one stays. */
static void keep_last_keys(json *object)
{
	for (json *member = object->child, *next; member != NULL; member = next) {
		const json *later = next = member->next;
		while (later != NULL && !same_key(later->string, member->string))
			later = later->next;
		if (later != NULL)
			cJSON_DetachItemViaPointer(object, member);
	}
}

bool json_check_keys(struct arena *arena, bool last_key, json *root, struct error *error)
{
	struct walk walk;
	for (walk_begin(&walk, root); walk.node != NULL; walk_next(&walk)) {
		if (!is_type(walk.node, cJSON_Object))
			continue;
		bool memory = true;
		const char *key = duplicate_key(arena, walk.node, &memory);
		if (!memory)
			return error_set(error, "too large: no room left to check its keys");
		if (key != NULL && last_key)
			keep_last_keys((json *)(uintptr_t)walk.node);
		else if (key != NULL)
			return error_set(error, "key \"%.100s\" is given twice in one object", key);
	}
	return true;
}
