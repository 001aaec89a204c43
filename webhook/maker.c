#include "webhook/maker.h"

#include "lib/base/buffer.h"
#include "lib/base/decimal.h"
#include "lib/base/duration.h"
#include "lib/kube/names.h"
#include "webhook/pod.h"

void make_append(struct maker *maker, json *array, json *value)
{
	if (array == NULL || !json_append(array, value))
		maker->patch->failed = true;
}

void make_append_text(struct maker *maker, json *array, const char *text)
{
	make_append(maker, array, json_new_string_ref(maker->arena, text));
}

void make_flag(struct maker *maker, json *array, const char *flag, const char *value)
{
	make_append_text(maker, array, flag);
	make_append_text(maker, array, value);
}

void make_literal_flag(struct maker *maker, json *array, const char *flag, const char *value)
{
	make_flag(maker, array, flag, value == NULL ? NULL : kubelet_literal(maker->arena, value));
}

const char *make_duration_text(struct maker *maker, int64_t nanoseconds)
{
	char storage[64];
	struct buffer text;
	buffer_init_fixed(&text, storage, sizeof storage);
	duration_print(&text, nanoseconds);
	return arena_copy(maker->arena, buffer_text(&text), text.length);
}

void make_duration_flag(struct maker *maker, json *array, const char *flag, int64_t nanoseconds)
{
	if (nanoseconds > 0)
		make_flag(maker, array, flag, make_duration_text(maker, nanoseconds));
}

void make_integer_flag(struct maker *maker, json *array, const char *flag, int64_t value)
{
	char text[DECIMAL_SIZE];
	size_t length = decimal_print_signed(value, text);
	make_flag(maker, array, flag, arena_copy(maker->arena, text, length));
}

const char *make_index_text(struct maker *maker, size_t index)
{
	char digits[DECIMAL_SIZE];
	size_t length = decimal_print(index, digits);
	const char *text = arena_copy(maker->arena, digits, length);
	if (text == NULL)
		maker->patch->failed = true;
	return text == NULL ? "" : text;
}

json *make_array_of(struct maker *maker, json *value)
{
	json *array = json_new_array(maker->arena);
	make_append(maker, array, value);
	return array;
}

json *make_quantities(struct maker *maker, const char *const *texts)
{
	json *object = json_new_object(maker->arena);
	for (size_t i = 0; i < RESOURCE_COUNT; i++)
		if (texts[i] != NULL)
			make_member_text(maker, object, resource_names[i], texts[i]);
	return object;
}

bool any_quantity(const char *const *texts)
{
	for (size_t i = 0; i < RESOURCE_COUNT; i++)
		if (texts[i] != NULL)
			return true;
	return false;
}

json *make_resources(struct maker *maker, const struct resources *resources)
{
	json *object = json_new_object(maker->arena);
	if (any_quantity(resources->limits))
		make_member(maker, object, "limits", make_quantities(maker, resources->limits));
	if (any_quantity(resources->requests))
		make_member(maker, object, "requests", make_quantities(maker, resources->requests));
	return object;
}

json *make_volume_mount(struct maker *maker, const char *path, bool read_only)
{
	json *mount = json_new_object(maker->arena);
	make_member_text(maker, mount, "name", NAME_VOLUME);
	make_member_text(maker, mount, "mountPath", path);
	if (read_only)
		make_member(maker, mount, "readOnly", json_new_bool(maker->arena, true));
	return mount;
}
