#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/message.h"
#include "cli/option.h"
#include "lib/base/buffer.h"
#include "lib/document/yaml.h"
#include "lib/registry/client.h"

#define TREE_MAX          ((size_t)64 * 1024 * 1024)
#define OUTPUT_MAX        ((size_t)8 * 1024 * 1024)
#define DOCKER_CONFIG_MAX 4096

struct images_options {
	bool pin_digest;
	bool json;
	const char *platform;
	const char *docker_config;
	const char *ca_file;
};

/* ---- Flags ---- */

static bool take_flag(void *context, int flag, const char *value, struct error *error)
{
	struct images_options *options = context;
	const struct manual *manual = manual_find("images");
	switch (flag) {
	case FLAG_PIN:
		options->pin_digest = strcmp(value, "digest") == 0;
		return option_is_word(manual, FLAG_PIN, value, error);
	case FLAG_OUTPUT:
		options->json = strcmp(value, "json") == 0;
		return option_is_word(manual, FLAG_OUTPUT, value, error);
	case FLAG_PLATFORM:
		options->platform = value;
		if (strchr(value, '/') == NULL)
			return error_set(error,
			                 "--platform %s: expected OS/ARCH, such as linux/arm64",
			                 value);
		return true;
	case FLAG_DOCKER_CONFIG:
		options->docker_config = value;
		return true;
	default:
		options->ca_file = value;
		if (access(value, R_OK) != 0)
			return error_set(error, "--ca-file %s: expected a file that can be read",
			                 value);
		return true;
	}
}

/* -1: go on, optind is the first image; else the exit status, after a message. */
static int read_flags(int argc, char **argv, struct images_options *options)
{
	int status = option_read(argc, argv, manual_find("images"), take_flag, options);
	if (status >= 0)
		return status;
	if (optind == argc) {
		message("images", "expected at least one image; see --help");
		return EXIT_USAGE;
	}
	return -1;
}

/* ---- Credentials ---- */

/* The path of config.json; named: somebody named the folder, so it must be there. */
static void find_docker_config(const struct images_options *options, char path[DOCKER_CONFIG_MAX],
                               bool *ret_named)
{
	const char *variable = getenv("DOCKER_CONFIG");
	const char *home = getenv("HOME");
	*ret_named = true;
	if (options->docker_config != NULL) {
		snprintf(path, DOCKER_CONFIG_MAX, "%s/config.json", options->docker_config);
	} else if (variable != NULL && variable[0] != '\0') {
		snprintf(path, DOCKER_CONFIG_MAX, "%s/config.json", variable);
	} else {
		*ret_named = false;
		snprintf(path, DOCKER_CONFIG_MAX, "%s/.docker/config.json",
		         home == NULL ? "" : home);
	}
}

static bool load_credentials(const struct images_options *options, struct arena *arena,
                             const char *registry, struct credentials *ret_credentials,
                             struct error *error)
{
	char path[DOCKER_CONFIG_MAX];
	bool named;
	find_docker_config(options, path, &named);
	if (!named && access(path, F_OK) != 0) {
		*ret_credentials = (struct credentials){.user = NULL};
		return true;
	}
	return credentials_load(arena, path, registry, ret_credentials, error);
}

/* ---- Entries ---- */

static json *list_of(struct arena *arena, const char **texts, size_t count)
{
	json *list = json_new_array(arena);
	for (size_t i = 0; list != NULL && i < count; i++)
		if (!json_append(list, json_new_string(arena, texts[i])))
			return NULL;
	return list;
}

/* The name as given, without tag and digest. */
static size_t name_length(const char *image)
{
	size_t length = strcspn(image, "@");
	for (size_t i = length; i > 0 && image[i - 1] != '/'; i--)
		if (image[i - 1] == ':')
			return i - 1;
	return length;
}

static json *entry_of(struct arena *arena, const struct images_options *options, const char *image,
                      const struct registry_image *resolved)
{
	const struct image_config *config = &resolved->config;
	const char *name = image;
	json *entry = json_new_object(arena);
	if (options->pin_digest)
		name = arena_printf(arena, "%.*s@%s", (int)name_length(image), image,
		                    resolved->digest);
	if (entry == NULL || name == NULL ||
	    !json_add_member(arena, entry, "image", json_new_string(arena, name)) ||
	    (config->entrypoint_count > 0 &&
	     !json_add_member(arena, entry, "entrypoint",
	                      list_of(arena, config->entrypoint, config->entrypoint_count))) ||
	    (config->cmd_count > 0 &&
	     !json_add_member(arena, entry, "cmd", list_of(arena, config->cmd, config->cmd_count))))
		return NULL;
	return entry;
}

static bool resolve(const struct images_options *options, struct registry_client *client,
                    struct arena *arena, const char *image, json *list, struct error *error)
{
	struct image_reference reference;
	struct credentials credentials;
	struct registry_image resolved;
	if (!image_reference_parse(image, &reference, error))
		return false;
	if (!load_credentials(options, arena, reference.registry, &credentials, error) ||
	    !registry_resolve(client, arena, &reference, &credentials, options->platform, &resolved,
	                      error))
		return error_wrap(error, "%s", image);
	if (resolved.config.entrypoint_count + resolved.config.cmd_count == 0)
		return error_set(error, "%s: the image names no command", image);
	if (!json_append(list, entry_of(arena, options, image, &resolved)))
		return error_set(error, "%s: no memory", image);
	return true;
}

static int print_entries(const struct images_options *options, struct arena *arena, json *list)
{
	struct buffer _cleanup_buffer_ out;
	json *root = json_new_object(arena);
	buffer_init(&out, OUTPUT_MAX);
	if (root == NULL || !json_add_member(arena, root, "images", list)) {
		message("images", "no memory");
		return EXIT_FAILED;
	}
	if (options->json) {
		json_print(&out, root, 2);
		buffer_append_char(&out, '\n');
	} else {
		yaml_print(&out, root);
	}
	if (!buffer_ok(&out) || fwrite(buffer_text(&out), 1, out.length, stdout) != out.length ||
	    fflush(stdout) != 0) {
		message("images", "writing to standard output failed");
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

int command_images(int argc, char **argv)
{
	struct images_options options = {.platform = NULL};
	int status = read_flags(argc, argv, &options);
	if (status >= 0)
		return status;
	struct registry_client *_cleanup_registry_client_ client =
	        registry_client_new(options.ca_file);
	struct arena *_cleanup_arena_ arena = arena_new_secret(TREE_MAX);
	json *list = arena == NULL ? NULL : json_new_array(arena);
	if (client == NULL || list == NULL) {
		message("images", "no memory");
		return EXIT_FAILED;
	}
	bool all = true;
	for (int i = optind; i < argc; i++) {
		struct error error;
		if (resolve(&options, client, arena, argv[i], list, &error))
			continue;
		message("images", "%s", error.message);
		all = false;
	}
	if (json_size(list) > 0 && print_entries(&options, arena, list) != EXIT_OK)
		return EXIT_FAILED;
	return all ? EXIT_OK : EXIT_FAILED;
}
