/*
 * name_table: texts and a number for each, found in one step, so that two lists of a client's
 * choosing do not multiply. Lives in the arena and keeps pointing to the texts; has room for what
 * it was made for. Looking things up counts as work (lib/document/json.h), also for the one who
 * chose texts that collide. Pure.
 */
#ifndef LASTWORD_WEBHOOK_NAME_TABLE_H
#define LASTWORD_WEBHOOK_NAME_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct name_table {
	struct name_entry {
		const char *name; /* NULL: a free slot */
		size_t length;
		uint64_t hash;
		size_t value;
	} * entries;
	size_t capacity; /* a power of two, more than the entries */
};

/* For so many names; false only when the arena is full. */
bool name_table_init(struct name_table *table, struct arena *arena, size_t names);

/* False when the name (length bytes) is there already, which keeps its value. */
bool name_table_add(struct name_table *table, const char *name, size_t length, size_t value);

/* *ret_value only when the name is there. */
bool name_table_find(const struct name_table *table, const char *name, size_t length,
                     size_t *ret_value);

#endif
