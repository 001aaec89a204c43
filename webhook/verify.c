#include "webhook/verify.h"

#include <string.h>

#include "lib/kube/names.h"
#include "lib/document/quantity.h"
#include "webhook/pod.h"

static const char *const lists[] = {"initContainers", "containers", "ephemeralContainers"};
#define LIST_COUNT (sizeof lists / sizeof lists[0])

static const char *name_of(const json *node)
{
	return json_get_string_or(node, "name", "");
}

/* The name stands again, in this list behind the node or in a later list. */
static bool name_again(const json *spec, size_t list, const json *node)
{
	const char *name = name_of(node);
	for (const json *other = json_next(node); other != NULL; other = json_next(other))
		if (strcmp(name_of(other), name) == 0)
			return true;
	for (size_t later = list + 1; later < LIST_COUNT; later++) {
		const json *others = json_get(spec, lists[later]);
		for (const json *other = json_first(others); other != NULL;
		     other = json_next(other))
			if (strcmp(name_of(other), name) == 0)
				return true;
	}
	return false;
}

static bool verify_mounts(const json *pod, const json *container, struct error *error)
{
	const json *mounts = json_get(container, "volumeMounts");
	const json *devices = json_get(container, "volumeDevices");
	for (const json *mount = json_first(mounts); mount != NULL; mount = json_next(mount)) {
		const char *path = json_get_string_or(mount, "mountPath", "");
		/* Other volumes may be a StatefulSet's claims, which its template does not list. */
		if (strcmp(name_of(mount), NAME_VOLUME) == 0 &&
		    pod_volume(pod, NAME_VOLUME) == NULL)
			return error_set(error, "volumeMount " NAME_VOLUME ": no such volume");
		for (const json *other = json_next(mount); other != NULL; other = json_next(other))
			if (strcmp(json_get_string_or(other, "mountPath", ""), path) == 0)
				return error_set(error, "two volumeMounts at %s", path);
		for (const json *device = json_first(devices); device != NULL;
		     device = json_next(device))
			if (strcmp(json_get_string_or(device, "devicePath", ""), path) == 0)
				return error_set(error, "a volumeMount and a device at %s", path);
	}
	return true;
}

static bool verify_resources(const json *container, struct error *error)
{
	const json *requests = json_find(container, "resources", "requests", NULL);
	const json *limits = json_find(container, "resources", "limits", NULL);
	for (const json *limit = json_first(limits); limit != NULL; limit = json_next(limit)) {
		const json *request = json_get(requests, json_key(limit));
		struct quantity most;
		struct quantity least;
		if (json_scalar_text(limit) == NULL || request == NULL ||
		    json_scalar_text(request) == NULL)
			continue; /* nothing to compare: a number without its text, or no request */
		if (!quantity_parse(json_scalar_text(limit), &most, error) ||
		    !quantity_parse(json_scalar_text(request), &least, error))
			return error_wrap(error, "resources of %s", json_key(limit));
		if (quantity_compare(&most, &least) < 0)
			return error_set(error, "limit of %s below its request", json_key(limit));
	}
	return true;
}

static bool verify_commands(const json *container, struct error *error)
{
	const json *command = json_get(container, "command");
	if (json_size(command) > 0 && !is_string_array(command))
		return error_set(error, "command is not a list of strings");

	const json *hook = json_find(container, "lifecycle", "preStop", NULL);
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

static bool verify_container(const json *pod, size_t list, const json *container,
                             struct error *error)
{
	if (name_of(container)[0] == '\0')
		return error_set(error, "a container without a name");
	if (name_again(json_get(pod, "spec"), list, container))
		return error_set(error, "the name is taken");
	return verify_mounts(pod, container, error) && verify_resources(container, error) &&
	       verify_commands(container, error);
}

bool verify_pod(const json *pod, struct error *error)
{
	const json *spec = json_get(pod, "spec");
	for (size_t list = 0; list < LIST_COUNT; list++) {
		const json *containers = json_get(spec, lists[list]);
		for (const json *c = json_first(containers); c != NULL; c = json_next(c))
			if (!verify_container(pod, list, c, error))
				return error_wrap(error, "container \"%s\"", name_of(c));
	}
	const json *volumes = json_get(spec, "volumes");
	for (const json *volume = json_first(volumes); volume != NULL; volume = json_next(volume))
		for (const json *other = json_next(volume); other != NULL; other = json_next(other))
			if (strcmp(name_of(other), name_of(volume)) == 0)
				return error_set(error, "two volumes named \"%s\"",
				                 name_of(volume));
	if (pod_annotations_size(pod) > POD_ANNOTATIONS_SIZE_MAX)
		return error_set(error, "the annotations have more than %zu bytes",
		                 POD_ANNOTATIONS_SIZE_MAX);
	return true;
}
