/* lastword version: of this program, and of what is installed in the cluster. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/installation.h"
#include "cli/message.h"
#include "cli/record_options.h"
#include "cli/record_output.h"
#include "cli/terminal.h"
#include "lib/base/buffer.h"
#include "lib/document/yaml.h"

#define OUTPUT_MAX  ((size_t)64 * 1024)
#define ARENA_MAX   ((size_t)64 * 1024 * 1024)
#define VERSION_MAX ((size_t)1024 * 1024)

enum part { PART_CLIENT, PART_WEBHOOK, PART_OBSERVER, PART_WATCHDOG, PART_KUBERNETES, PART_COUNT };

/* NULL: not known. */
struct versions {
	const char *of[PART_COUNT];
};

static const struct {
	const char *title;
	const char *key;
} parts[PART_COUNT] = {
        [PART_CLIENT] = {"Client Version", "clientVersion"},
        [PART_WEBHOOK] = {"Webhook Version", "webhookVersion"},
        [PART_OBSERVER] = {"Observer Version", "observerVersion"},
        [PART_WATCHDOG] = {"Watchdog Version", "watchdogVersion"},
        [PART_KUBERNETES] = {"Kubernetes Version", "kubernetesVersion"},
};

/* The version that the tag says, else the image. */
static const char *version_of(struct arena *arena, const char *image)
{
	const char *version = installation_version(arena, image);
	return version == NULL || version[0] == '\0' ? image : version;
}

static bool read_cluster(const struct record_options *options, struct arena *arena,
                         struct versions *versions, struct error *error)
{
	const struct kubectl *kubectl = &options->source.kubectl;
	const char *namespace = options->source.namespace;
	const json *server = kubectl_get_json(kubectl, "/version", VERSION_MAX, arena, error);
	if (server == NULL)
		return false;
	versions->of[PART_KUBERNETES] = json_get_string(server, "gitVersion");
	const json *webhook =
	        installation_deployment(kubectl, namespace, INSTALLATION_WEBHOOK, arena, error);
	if (webhook == NULL)
		return false;
	versions->of[PART_WEBHOOK] = version_of(arena, installation_image(webhook));
	versions->of[PART_WATCHDOG] = version_of(arena, installation_watchdog_image(webhook));
	const json *observer =
	        installation_deployment(kubectl, namespace, INSTALLATION_OBSERVER, arena, error);
	if (observer == NULL)
		return false;
	versions->of[PART_OBSERVER] = version_of(arena, installation_image(observer));
	return true;
}

static void write_text(const struct versions *versions, struct buffer *out)
{
	for (size_t i = 0; i < PART_COUNT; i++) {
		const char *version = versions->of[i];
		if (version == NULL)
			continue;
		buffer_printf(out, "%s: ", parts[i].title);
		terminal_line(out, version[0] == '\0' ? "unknown" : version);
		buffer_append_char(out, '\n');
	}
}

static void write_object(const struct record_options *options, const struct versions *versions,
                         struct arena *arena, struct buffer *out)
{
	struct buffer _cleanup_buffer_ text;
	json *root = json_new_object(arena);
	bool made = root != NULL;
	buffer_init(&text, OUTPUT_MAX);
	for (size_t i = 0; i < PART_COUNT && made; i++)
		if (versions->of[i] != NULL && versions->of[i][0] != '\0')
			made = json_add_member(arena, root, parts[i].key,
			                       json_new_string(arena, versions->of[i]));
	if (!made) {
		out->failed = true;
	} else if (options->output == RECORDS_YAML) {
		yaml_print(out, root);
	} else {
		json_print(&text, root, 4);
		terminal_json(out, buffer_text(&text), text.length);
		buffer_append_char(out, '\n');
	}
}

int command_version(int argc, char **argv)
{
	struct record_options options = {.command = "version"};
	struct versions versions = {.of = {[PART_CLIENT] = LASTWORD_VERSION}};
	struct buffer _cleanup_buffer_ out;
	struct error error;
	options.source.namespace = INSTALLATION_NAMESPACE;
	buffer_init(&out, OUTPUT_MAX);
	int status = record_options_read(argc, argv, &options);
	if (status >= 0)
		return status;
	struct arena *_cleanup_arena_ arena = arena_new(ARENA_MAX);
	if (arena == NULL) {
		message(options.command, "no memory");
		return EXIT_FAILED;
	}
	bool done = options.client || read_cluster(&options, arena, &versions, &error);
	if (options.output == RECORDS_TABLE)
		write_text(&versions, &out);
	else
		write_object(&options, &versions, arena, &out);
	status = record_print(&options, &out);
	if (done)
		return status;
	message(options.command, "%s", error.message);
	return EXIT_FAILED;
}
