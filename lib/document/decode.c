#include "lib/document/decode.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/duration.h"
#include "lib/base/nearest.h"
#include "lib/document/quantity.h"

static bool fail(struct decoder *decoder, const json *node, bool at_key, const char *path,
                 const char *what)
{
	unsigned line = 0;
	unsigned column = 0;
	yaml_position(decoder->document, node, at_key, &line, &column);
	return error_set(decoder->error, "line %u, column %u: %s%s%s", line, column, path,
	                 path[0] == '\0' ? "" : ": ", what);
}

bool decode_fail(struct decoder *decoder, const json *node, const char *path, const char *format,
                 ...)
{
	char what[ERROR_MESSAGE_SIZE / 2];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(what, sizeof what, format, arguments);
	va_end(arguments);
	return fail(decoder, node, false, path, what);
}

bool decode_no_memory(struct decoder *decoder)
{
	return error_set(decoder->error, "no memory for the configuration");
}

const char *decode_shown(const json *node)
{
	const char *text = json_scalar_text(node);
	return text == NULL ? json_type_name(node) : text;
}

const char *decode_join(struct decoder *decoder, const char *path, const char *key)
{
	const char *joined =
	        arena_printf(decoder->arena, "%s%s%s", path, path[0] == '\0' ? "" : ".", key);
	return joined == NULL ? key : joined;
}

static const struct field *find_field(const struct field *fields, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(fields[i].key, key) == 0)
			return &fields[i];
	return NULL;
}

static bool fail_unknown(struct decoder *decoder, const json *member, const char *path,
                         const struct field *fields, size_t count)
{
	char storage[ERROR_MESSAGE_SIZE - 100];
	struct buffer what;
	struct nearest nearest = {.text = json_key(member)};
	buffer_init_fixed(&what, storage, sizeof storage);
	buffer_printf(&what, "unknown key \"%.100s\", expected one of ", nearest.text);
	for (size_t i = 0; i < count; i++) {
		buffer_printf(&what, "%s%s", i == 0 ? "" : ", ", fields[i].key);
		nearest_offer(&nearest, fields[i].key);
	}
	if (nearest.word != NULL)
		buffer_printf(&what, "; did you mean %s?", nearest.word);
	return fail(decoder, member, true, path, buffer_text(&what));
}

bool decode_fields(struct decoder *decoder, const json *node, const char *path,
                   const struct field *fields, size_t count, void *target)
{
	if (!json_is_object(node))
		return decode_fail(decoder, node, path, "expected a mapping, got %.100s",
		                   decode_shown(node));
	for (const json *member = json_first(node); member != NULL; member = json_next(member)) {
		const struct field *field = find_field(fields, count, json_key(member));
		if (field == NULL)
			return fail_unknown(decoder, member, path, fields, count);
		if (!field->decode(decoder, member, decode_join(decoder, path, field->key),
		                   (char *)target + field->offset))
			return false;
	}
	for (size_t i = 0; i < count; i++)
		if (fields[i].required && json_get(node, fields[i].key) == NULL)
			return decode_fail(decoder, node, path, "expected a key \"%s\"",
			                   fields[i].key);
	return true;
}

bool decode_text(struct decoder *decoder, const json *node, const char *path, void *target)
{
	const char *text = json_string(node);
	if (text == NULL || text[0] == '\0')
		return decode_fail(decoder, node, path,
		                   "expected a string that is not empty, got %.100s",
		                   json_type_name(node));
	*(const char **)target = text;
	return true;
}

bool decode_choice(struct decoder *decoder, const json *node, const char *path,
                   const struct choice *choices, size_t count, int *ret_value)
{
	char storage[200];
	struct buffer known;
	buffer_init_fixed(&known, storage, sizeof storage);
	for (size_t i = 0; i < count; i++) {
		if (json_string_is(node, choices[i].text)) {
			*ret_value = choices[i].value;
			return true;
		}
		buffer_printf(&known, "%s%s", i == 0 ? "" : ", ", choices[i].text);
	}
	return decode_fail(decoder, node, path, "expected one of %s, got %.100s",
	                   buffer_text(&known), decode_shown(node));
}

bool decode_duration(struct decoder *decoder, const json *node, const char *path, void *target)
{
	struct error error = {""};
	int64_t value = 0;
	const char *text = json_string(node);
	if (text == NULL || !duration_parse(text, &value, &error) || value < 0)
		return decode_fail(decoder, node, path,
		                   "expected a duration such as \"30m\" or \"1h30m\", got %.100s",
		                   decode_shown(node));
	*(int64_t *)target = value;
	return true;
}

bool decode_path(struct decoder *decoder, const json *node, const char *path, void *target)
{
	const char *text = json_string(node);
	if (text == NULL || text[0] != '/' || text[1] == '\0')
		return decode_fail(decoder, node, path, "expected an absolute path, got %.100s",
		                   decode_shown(node));
	*(const char **)target = text;
	return true;
}

bool decode_quantity(struct decoder *decoder, const json *node, const char *path,
                     const char **ret_text)
{
	const char *text = json_scalar_text(node);
	struct quantity value;
	struct error error = {""};
	if (text == NULL || !quantity_parse(text, &value, &error) ||
	    (value.count > 0 && value.negative))
		return decode_fail(
		        decoder, node, path,
		        "expected a quantity such as 500m or 2Gi, not below 0, got %.100s",
		        decode_shown(node));
	*ret_text = text;
	return true;
}

bool decode_size(struct decoder *decoder, const json *node, const char *path, int64_t least,
                 int64_t most, int64_t *ret_size)
{
	const char *text = "";
	struct quantity value;
	int64_t size;
	if (!decode_quantity(decoder, node, path, &text))
		return false;
	if (!quantity_parse(text, &value, NULL) || !quantity_to_integer(&value, &size) ||
	    size < least || size > most)
		return decode_fail(decoder, node, path,
		                   "expected a size of %" PRId64 " to %" PRId64
		                   " bytes, got %.100s",
		                   least, most, decode_shown(node));
	*ret_size = size;
	return true;
}

bool decode_list(struct decoder *decoder, const json *node, const char *path, void *target)
{
	if (!json_is_array(node))
		return decode_fail(decoder, node, path, "expected a list of strings, got %.100s",
		                   decode_shown(node));
	struct strings list = {
	        .items = arena_allocate(decoder->arena, (json_size(node) + 1) * sizeof(char *))};
	if (list.items == NULL)
		return decode_no_memory(decoder);
	for (const json *n = json_first(node); n != NULL; n = json_next(n))
		if (!decode_text(decoder, n, path, &list.items[list.count++]))
			return false;
	*(struct strings *)target = list;
	return true;
}

bool decode_elements(struct decoder *decoder, const json *node, const char *path,
                     size_t element_size,
                     bool (*decode)(struct decoder *, const json *, const char *, void *),
                     void **ret_elements, size_t *ret_count)
{
	if (!json_is_array(node))
		return decode_fail(decoder, node, path, "expected a list, got %.100s",
		                   decode_shown(node));
	size_t count = json_size(node);
	char *elements = arena_allocate(decoder->arena, (count + 1) * element_size);
	if (elements == NULL)
		return decode_no_memory(decoder);
	size_t i = 0;
	for (const json *n = json_first(node); n != NULL; n = json_next(n), i++) {
		const char *at = arena_printf(decoder->arena, "%s[%zu]", path, i);
		if (!decode(decoder, n, at == NULL ? path : at, elements + i * element_size))
			return false;
	}
	*ret_elements = elements;
	*ret_count = count;
	return true;
}
