#include "lib/registry/image.h"

#include <string.h>

#include "lib/registry/reference.h"

static bool parse(struct arena *arena, const char *text, size_t length, json **ret_root,
                  struct error *error)
{
	if (json_parse(arena, text, length, 0, ret_root, error) != JSON_FAITHFUL)
		return false;
	if (!json_is_object(*ret_root))
		return error_set(error, "expected a JSON object, found %s",
		                 json_type_name(*ret_root));
	return true;
}

static const char *read_digest(const json *descriptor, struct error *error)
{
	const char *digest = json_get_string_or(descriptor, "digest", "");
	if (image_digest_is_valid(digest))
		return digest;
	error_set(error, "\"%.100s\" is no digest: expected sha256: and 64 hexadecimal digits",
	          digest);
	return NULL;
}

static bool read_index(const json *list, struct image_manifest *manifest, struct error *error)
{
	for (const json *entry = json_first(list); entry != NULL; entry = json_next(entry)) {
		const json *platform = json_get(entry, "platform");
		const char *os = json_get_string_or(platform, "os", "unknown");
		const char *architecture = json_get_string_or(platform, "architecture", "unknown");
		if (strcmp(os, "unknown") == 0 || manifest->platform_count == IMAGE_PLATFORMS_MAX)
			continue;
		const char *digest = read_digest(entry, error);
		if (digest == NULL)
			return error_wrap(error, "the manifest for %.40s/%.40s", os, architecture);
		manifest->platforms[manifest->platform_count++] =
		        (struct image_platform){os, architecture, digest};
	}
	return true;
}

bool image_manifest_read(struct arena *arena, const char *text, size_t length,
                         struct image_manifest *ret_manifest, struct error *error)
{
	struct image_manifest manifest = {.platform_count = 0};
	json *root;
	if (!parse(arena, text, length, &root, error))
		return false;
	const json *list = json_get(root, "manifests");
	const json *config = json_get(root, "config");
	if (json_is_array(list)) {
		if (!read_index(list, &manifest, error))
			return false;
	} else if (json_is_object(config)) {
		manifest.config_digest = read_digest(config, error);
		if (manifest.config_digest == NULL)
			return error_wrap(error, "the manifest's config");
	} else {
		return error_set(error, "expected an image index or manifest, found \"%.100s\"",
		                 json_get_string_or(root, "mediaType", "no mediaType"));
	}
	*ret_manifest = manifest;
	return true;
}

/* A list of texts; absent and null are empty. */
static bool read_texts(struct arena *arena, const json *config, const char *key,
                       const char ***ret_texts, size_t *ret_count, struct error *error)
{
	const json *list = json_get(config, key);
	size_t count = 0;
	if (list == NULL || json_is_null(list))
		return true;
	const char **texts = arena_allocate(arena, (json_size(list) + 1) * sizeof *texts);
	if (texts == NULL)
		return error_set(error, "no memory for %s", key);
	for (const json *entry = json_first(list); entry != NULL; entry = json_next(entry)) {
		texts[count] = json_is_array(list) ? json_string(entry) : NULL;
		if (texts[count++] == NULL)
			break;
	}
	if (!json_is_array(list) || (count > 0 && texts[count - 1] == NULL))
		return error_set(error, "%s: expected a list of strings", key);
	*ret_texts = texts;
	*ret_count = count;
	return true;
}

bool image_config_read(struct arena *arena, const char *text, size_t length,
                       struct image_config *ret_config, struct error *error)
{
	struct image_config read = {.entrypoint_count = 0};
	json *root;
	if (!parse(arena, text, length, &root, error))
		return false;
	const json *config = json_get(root, "config");
	if (!read_texts(arena, config, "Entrypoint", &read.entrypoint, &read.entrypoint_count,
	                error) ||
	    !read_texts(arena, config, "Cmd", &read.cmd, &read.cmd_count, error))
		return false;
	read.os = json_get_string_or(root, "os", "");
	read.architecture = json_get_string_or(root, "architecture", "");
	*ret_config = read;
	return true;
}

static bool texts_equal(const char **a, size_t a_count, const char **b, size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

bool image_config_equal(const struct image_config *a, const struct image_config *b)
{
	return texts_equal(a->entrypoint, a->entrypoint_count, b->entrypoint,
	                   b->entrypoint_count) &&
	       texts_equal(a->cmd, a->cmd_count, b->cmd, b->cmd_count);
}
