#include "webhook/name_table.h"

#include <string.h>

#include "lib/base/hash.h"
#include "lib/base/word.h"
#include "lib/document/json.h"

/* As hash_bytes(), a word at a time. */
static uint64_t hash_name(const char *name, size_t length)
{
	uint64_t hash = HASH_START;
	json_work_add(1 + length / 16);
	for (size_t i = 0; i < length; i += WORD_SIZE)
		hash = (hash_fold(hash) ^ word_load(name + i, length - i)) * HASH_FACTOR;
	return hash;
}

/* The entry of that name, or the free one where it belongs. */
static struct name_entry *find(const struct name_table *table, const char *name, size_t length,
                               uint64_t hash)
{
	size_t at = hash_fold(hash) & (table->capacity - 1);
	for (;; at = (at + 1) & (table->capacity - 1)) {
		struct name_entry *entry = &table->entries[at];
		if (entry->name == NULL || (entry->hash == hash && entry->length == length &&
		                            memcmp(entry->name, name, length) == 0))
			return entry;
		json_work_add(1);
	}
}

bool name_table_init(struct name_table *table, struct arena *arena, size_t names)
{
	struct name_table made = {.capacity = 16};
	while (made.capacity < 2 * names)
		made.capacity *= 2;
	made.entries = arena_allocate(arena, made.capacity * sizeof *made.entries);
	if (made.entries == NULL)
		return false;
	*table = made;
	return true;
}

bool name_table_add(struct name_table *table, const char *name, size_t length, size_t value)
{
	uint64_t hash = hash_name(name, length);
	struct name_entry *entry = find(table, name, length, hash);
	if (entry->name != NULL)
		return false;
	*entry = (struct name_entry){.name = name, .length = length, .hash = hash, .value = value};
	return true;
}

bool name_table_find(const struct name_table *table, const char *name, size_t length,
                     size_t *ret_value)
{
	const struct name_entry *entry = find(table, name, length, hash_name(name, length));
	if (entry->name == NULL)
		return false;
	*ret_value = entry->value;
	return true;
}
