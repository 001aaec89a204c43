#include "certs/api_object.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/buffer.h"

bool api_object_parse(struct arena *arena, const struct api_object *object, const char *kind,
                      json **ret_root, struct error *error)
{
	json *root = NULL;
	if (json_parse(arena, object->text, object->length, JSON_KEEP_NUMBERS, &root, error) !=
	    JSON_FAITHFUL)
		return error_wrap(error, "%s", kind);
	if (!json_string_is(json_get(root, "kind"), kind))
		return error_set(error, "expected an object of kind %s", kind);
	*ret_root = root;
	return true;
}

bool api_object_version(const json *object, char ret_version[RESOURCE_VERSION_SIZE],
                        struct error *error)
{
	const char *version = json_string(json_find(object, "metadata", "resourceVersion", NULL));
	if (version == NULL || version[0] == '\0' || strlen(version) >= RESOURCE_VERSION_SIZE)
		return error_set(error, "expected metadata.resourceVersion");
	snprintf(ret_version, RESOURCE_VERSION_SIZE, "%s", version);
	return true;
}

bool api_object_decode(const json *object, const char *key, struct buffer *out, bool *ret_clean)
{
	const char *text = json_get_string_or(object, key, "");
	size_t length = strlen(text);
	buffer_clear(out);
	*ret_clean = length / 4 * 3 <= PEM_MAX && base64_decode(out, text, length);
	if (!buffer_ok(out))
		return false;
	if (!*ret_clean)
		buffer_clear(out);
	return true;
}
