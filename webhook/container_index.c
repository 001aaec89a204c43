#include "webhook/container_index.h"

#include <string.h>

bool container_index_init(struct container_index *index, struct arena *arena, const json *pod)
{
	const json *list = json_get_in(pod, "spec", "containers");
	size_t size = json_size(list);
	struct container_index made = {.containers =
	                                       arena_allocate(arena, (size + 1) * sizeof(json *))};
	if (made.containers == NULL || !name_table_init(&made.names, arena, size))
		return false;
	for (const json *n = json_first(list); n != NULL && made.count < size; n = json_next(n)) {
		const char *name = json_get_string(n, "name");
		if (name != NULL)
			name_table_add(&made.names, name, strlen(name), made.count);
		made.containers[made.count++] = n;
	}
	*index = made;
	return true;
}

bool container_index_find(const struct container_index *index, const char *name, size_t length,
                          size_t *ret_position)
{
	return name_table_find(&index->names, name, length, ret_position);
}
