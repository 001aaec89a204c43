/*
 * container_index: a pod's regular containers by position and by name. Pure; lives in the arena.
 */
#ifndef LASTWORD_WEBHOOK_CONTAINER_INDEX_H
#define LASTWORD_WEBHOOK_CONTAINER_INDEX_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/document/json.h"
#include "webhook/name_table.h"

struct container_index {
	const json **containers; /* in the pod's order */
	size_t count;
	struct name_table names; /* positions; of a name that is there twice the first */
};

/* False only when the arena is full. */
bool container_index_init(struct container_index *index, struct arena *arena, const json *pod);

/* The first container of that name (length bytes); *ret_position only when there is one. */
bool container_index_find(const struct container_index *index, const char *name, size_t length,
                          size_t *ret_position);

#endif
