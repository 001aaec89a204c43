/*
 * maker: the values that a patch is made of. Everything is made here, so that a NULL, the arena
 * being full, reaches the patch as its failure; nobody who makes a patch has to look for one.
 */
#ifndef LASTWORD_WEBHOOK_MAKER_H
#define LASTWORD_WEBHOOK_MAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/document/json.h"
#include "webhook/patch.h"
#include "webhook/plan.h"

struct maker {
	struct arena *arena;
	const struct plan *plan;
	const struct config *config;
	const json *pod;
	struct patch *patch;
};

/* A member of an object, an element of an array. NULL as value: the arena is full. Keys and texts
 * are not copied: they are literals, or of the configuration, the pod or the arena. */
static inline void make_member(struct maker *maker, json *object, const char *key, json *value)
{
	if (!json_add_member_ref(object, key, value))
		maker->patch->failed = true;
}
static inline void make_member_text(struct maker *maker, json *object, const char *key,
                                    const char *text)
{
	make_member(maker, object, key, json_new_string_ref(maker->arena, text));
}
void make_append(struct maker *maker, json *array, json *value);
void make_append_text(struct maker *maker, json *array, const char *text);

/* Two words of a command line: a flag and its value; a literal one is left by the kubelet as it is,
 * a duration of 0 is left out. */
void make_flag(struct maker *maker, json *array, const char *flag, const char *value);
void make_integer_flag(struct maker *maker, json *array, const char *flag, int64_t value);
void make_literal_flag(struct maker *maker, json *array, const char *flag, const char *value);
void make_duration_flag(struct maker *maker, json *array, const char *flag, int64_t nanoseconds);
const char *make_duration_text(struct maker *maker, int64_t nanoseconds);
const char *make_index_text(struct maker *maker, size_t index);

/* A missing or null parent is made around the value: {"key": value}, or [value]. */
static inline json *make_around(struct maker *maker, const char *key, json *value)
{
	json *object = json_new_object(maker->arena);
	make_member(maker, object, key, value);
	return object;
}
json *make_array_of(struct maker *maker, json *value);

json *make_quantities(struct maker *maker, const char *const *texts);
bool any_quantity(const char *const *texts);
/* requests and limits, without what has no quantities. */
json *make_resources(struct maker *maker, const struct resources *resources);
json *make_volume_mount(struct maker *maker, const char *path, bool read_only);

#endif
