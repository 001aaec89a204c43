#include "webhook/verify.h"

#include <string.h>

#include "lib/kube/names.h"
#include "lib/document/quantity.h"
#include "webhook/config.h"
#include "webhook/name_table.h"
#include "webhook/pod.h"

static const char *const lists[] = {"initContainers", "containers", "ephemeralContainers"};
#define LIST_COUNT (sizeof lists / sizeof lists[0])

static const char *name_of(const json *node)
{
	return json_get_string_or(node, "name", "");
}

/* Adds the text of each element's member; the first that is there already goes to *ret_again. */
static void add_texts(struct name_table *table, const json *list, const char *key,
                      const char **ret_again)
{
	for (const json *n = json_first(list); n != NULL; n = json_next(n)) {
		const char *text = json_get_string_or(n, key, "");
		if (!name_table_add(table, text, strlen(text), 0) && *ret_again == NULL)
			*ret_again = text;
	}
}

static bool no_room(struct error *error)
{
	return error_set(error, "no room left to check it");
}

static bool verify_names(struct arena *arena, const json *spec, struct error *error)
{
	const char *again = NULL;
	const json *volumes = json_get(spec, "volumes");
	size_t count = 0;
	for (size_t list = 0; list < LIST_COUNT; list++)
		count += json_size(json_get(spec, lists[list]));
	struct name_table names;
	struct name_table volume_names;
	if (!name_table_init(&names, arena, count) ||
	    !name_table_init(&volume_names, arena, json_size(volumes)))
		return no_room(error);
	for (size_t list = 0; list < LIST_COUNT; list++)
		add_texts(&names, json_get(spec, lists[list]), "name", &again);
	if (again != NULL)
		return error_set(error, "container \"%.100s\": the name is taken", again);
	add_texts(&volume_names, volumes, "name", &again);
	return again == NULL || error_set(error, "two volumes named \"%.100s\"", again);
}

static bool mounts_ours(const json *mounts)
{
	for (const json *mount = json_first(mounts); mount != NULL; mount = json_next(mount))
		if (strcmp(name_of(mount), NAME_VOLUME) == 0)
			return true;
	return false;
}

static bool verify_mounts(struct arena *arena, const json *container, bool has_volume,
                          struct error *error)
{
	const json *mounts = json_get(container, "volumeMounts");
	const json *devices = json_get(container, "volumeDevices");
	const char *again = NULL;
	struct name_table paths;
	if (json_first(mounts) == NULL)
		return true;
	/* Other volumes may be a StatefulSet's claims, which its template does not list. */
	if (!has_volume && mounts_ours(mounts))
		return error_set(error, "volumeMount " NAME_VOLUME ": no such volume");
	if (!name_table_init(&paths, arena, json_size(mounts) + json_size(devices)))
		return no_room(error);
	add_texts(&paths, mounts, "mountPath", &again);
	add_texts(&paths, devices, "devicePath", &again);
	return again == NULL || error_set(error, "two volumeMounts or devices at %.100s", again);
}

static bool verify_resources(const json *container, struct error *error)
{
	const json *resources = json_get(container, "resources");
	const json *requests = json_get(resources, "requests");
	const json *limits = json_get(resources, "limits");
	if (requests == NULL || limits == NULL)
		return true; /* nothing to compare */
	for (size_t i = 0; i < RESOURCE_COUNT; i++) {
		const char *limit = json_scalar_text(json_get(limits, resource_names[i]));
		const char *request = json_scalar_text(json_get(requests, resource_names[i]));
		struct quantity most;
		struct quantity least;
		if (limit == NULL || request == NULL)
			continue; /* one is missing, or a number without its text */
		if (!quantity_parse(limit, &most, error) || !quantity_parse(request, &least, error))
			return error_wrap(error, "resources of %s", resource_names[i]);
		if (quantity_compare(&most, &least) < 0)
			return error_set(error, "limit of %s below its request", resource_names[i]);
	}
	return true;
}

static bool verify_commands(const json *container, struct error *error)
{
	const json *command = json_get(container, "command");
	if (json_size(command) > 0 && !is_string_array(command))
		return error_set(error, "command is not a list of strings");

	const json *hook = json_get_in(container, "lifecycle", "preStop");
	size_t handlers = 0;
	for (const json *handler = json_first(hook); handler != NULL; handler = json_next(handler))
		handlers += !json_is_null(handler);
	if (json_is_object(hook) && handlers != 1)
		return error_set(error, "preStop has %zu handlers, expected one", handlers);
	const json *exec = json_get(hook, "exec");
	if (exec != NULL && !json_is_null(exec) && !is_string_array(json_get(exec, "command")))
		return error_set(error, "preStop.exec.command is not a list of strings");
	return true;
}

static bool verify_container(struct arena *arena, const json *container, bool has_volume,
                             struct error *error)
{
	if (name_of(container)[0] == '\0')
		return error_set(error, "a container without a name");
	return verify_mounts(arena, container, has_volume, error) &&
	       verify_resources(container, error) && verify_commands(container, error);
}

bool verify_pod(struct arena *arena, const json *pod, struct error *error)
{
	const json *spec = json_get(pod, "spec");
	bool has_volume = pod_volume(pod, NAME_VOLUME) != NULL;
	if (!verify_names(arena, spec, error))
		return false;
	for (size_t list = 0; list < LIST_COUNT; list++) {
		const json *containers = json_get(spec, lists[list]);
		for (const json *c = json_first(containers); c != NULL; c = json_next(c))
			if (!verify_container(arena, c, has_volume, error))
				return error_wrap(error, "container \"%.100s\"", name_of(c));
	}
	if (pod_annotations_size(pod) > POD_ANNOTATIONS_SIZE_MAX)
		return error_set(error, "the annotations have more than %zu bytes",
		                 POD_ANNOTATIONS_SIZE_MAX);
	return true;
}
