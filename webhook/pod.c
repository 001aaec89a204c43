#include "webhook/pod.h"

#include <string.h>

#include "lib/document/quantity.h"
#include "lib/kube/names.h"

static const char *const container_lists[] = {"initContainers", "containers"};
#define CONTAINER_LISTS (sizeof container_lists / sizeof container_lists[0])

static json *named(const json *array, const char *name, size_t *ret_index)
{
	size_t index = 0;
	for (json *n = json_first(array); n != NULL; n = json_next(n), index++) {
		if (!json_string_is(json_get(n, "name"), name))
			continue;
		if (ret_index != NULL)
			*ret_index = index;
		return n;
	}
	return NULL;
}

json *pod_container(const json *pod, const char *name, size_t *ret_index)
{
	return named(json_get_in(pod, "spec", "containers"), name, ret_index);
}

json *pod_init_container(const json *pod, const char *name)
{
	return named(json_get_in(pod, "spec", "initContainers"), name, NULL);
}

json *pod_volume(const json *pod, const char *name)
{
	return named(json_get_in(pod, "spec", "volumes"), name, NULL);
}

const char *pod_restart_policy(const json *pod)
{
	return json_get_string_or(json_get(pod, "spec"), "restartPolicy", "Always");
}

int64_t pod_grace_seconds(const json *pod)
{
	int64_t seconds;
	const json *grace = json_get_in(pod, "spec", "terminationGracePeriodSeconds");
	if (!json_integer(grace, &seconds) || seconds < 0)
		return GRACE_SECONDS_DEFAULT;
	return seconds < GRACE_SECONDS_MAX ? seconds : GRACE_SECONDS_MAX;
}

static bool is_os_label(const char *key)
{
	return key != NULL &&
	       (strcmp(key, "kubernetes.io/os") == 0 || strcmp(key, "beta.kubernetes.io/os") == 0);
}

/* Only Windows nodes have this label. */
static const char build_label[] = "node.kubernetes.io/windows-build";

static bool all_are(const json *values, const char *text)
{
	for (const json *n = json_first(values); n != NULL; n = json_next(n))
		if (!json_string_is(n, text))
			return false;
	return json_first(values) != NULL;
}

static bool some_is(const json *values, const char *text)
{
	for (const json *n = json_first(values); n != NULL; n = json_next(n))
		if (json_string_is(n, text))
			return true;
	return false;
}

/* Only Windows nodes can match the expression. */
static bool wants_windows(const json *expression)
{
	const char *key = json_get_string(expression, "key");
	const char *operator= json_get_string_or(expression, "operator", "");
	const json *values = json_get(expression, "values");
	if (is_os_label(key))
		return (strcmp(operator, "In") == 0 && all_are(values, "windows")) ||
		       (strcmp(operator, "NotIn") == 0 && some_is(values, "linux"));
	return key != NULL && strcmp(key, build_label) == 0 && strcmp(operator, "NotIn") != 0 &&
	       strcmp(operator, "DoesNotExist") != 0;
}

/* A node has to match one of the terms: it is a Windows node when each term asks for one. */
static bool requires_windows_node(const json *spec)
{
	const json *terms = json_find(spec, "affinity", "nodeAffinity",
	                              "requiredDuringSchedulingIgnoredDuringExecution",
	                              "nodeSelectorTerms", NULL);
	for (const json *term = json_first(terms); term != NULL; term = json_next(term)) {
		const json *want = json_first(json_get(term, "matchExpressions"));
		while (want != NULL && !wants_windows(want))
			want = json_next(want);
		if (want == NULL)
			return false;
	}
	return json_first(terms) != NULL;
}

static bool selects_windows_node(const json *spec)
{
	const json *selector = json_get(spec, "nodeSelector");
	for (const json *n = json_first(selector); n != NULL; n = json_next(n))
		if (strcmp(json_key(n), build_label) == 0 ||
		    (is_os_label(json_key(n)) && json_string_is(n, "windows")))
			return true;
	return false;
}

static bool has_windows_options(const json *holder)
{
	return json_is_object(json_get_in(holder, "securityContext", "windowsOptions"));
}

bool pod_is_windows(const json *pod)
{
	const json *spec = json_get(pod, "spec");
	for (size_t list = 0; list < CONTAINER_LISTS; list++) {
		const json *containers = json_get(spec, container_lists[list]);
		for (const json *c = json_first(containers); c != NULL; c = json_next(c))
			if (has_windows_options(c))
				return true;
	}
	return json_string_is(json_get_in(spec, "os", "name"), "windows") ||
	       has_windows_options(spec) || selects_windows_node(spec) ||
	       requires_windows_node(spec);
}

const json *pod_controller(const json *pod)
{
	const json *owners = json_get_in(pod, "metadata", "ownerReferences");
	for (const json *owner = json_first(owners); owner != NULL; owner = json_next(owner))
		if (json_is_true(json_get(owner, "controller")))
			return owner;
	return NULL;
}

static bool guaranteed(const json *container)
{
	static const char *const names[] = {"cpu", "memory"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *limit = json_scalar_text(
		        json_get(json_get_in(container, "resources", "limits"), names[i]));
		const char *request = json_scalar_text(
		        json_get(json_get_in(container, "resources", "requests"), names[i]));
		struct quantity limit_value;
		struct quantity request_value;
		if (limit == NULL || !quantity_parse(limit, &limit_value, NULL) ||
		    !quantity_is_positive(&limit_value))
			return false;
		if (request != NULL && (!quantity_parse(request, &request_value, NULL) ||
		                        quantity_compare(&limit_value, &request_value) != 0))
			return false;
	}
	return true;
}

static bool is_ours(const json *container)
{
	return container_is_watchdog(container) || container_is_install(container);
}

bool pod_is_guaranteed(const json *pod)
{
	for (size_t list = 0; list < CONTAINER_LISTS; list++) {
		const json *containers = json_get_in(pod, "spec", container_lists[list]);
		for (const json *c = json_first(containers); c != NULL; c = json_next(c))
			if (!is_ours(c) && !guaranteed(c))
				return false;
	}
	return true;
}

static uint64_t used_id(const json *node, int64_t first)
{
	int64_t id;
	if (!json_integer(node, &id) || id < first || id - first >= 64)
		return 0;
	return UINT64_C(1) << (id - first);
}

static uint64_t used_by_context(const json *context, int64_t first)
{
	uint64_t used = used_id(json_get(context, "runAsUser"), first) |
	                used_id(json_get(context, "runAsGroup"), first) |
	                used_id(json_get(context, "fsGroup"), first);
	const json *groups = json_get(context, "supplementalGroups");
	for (const json *group = json_first(groups); group != NULL; group = json_next(group))
		used |= used_id(group, first);
	return used;
}

uint64_t pod_used_ids(const json *pod, int64_t first)
{
	uint64_t used = used_by_context(json_get_in(pod, "spec", "securityContext"), first);
	for (size_t list = 0; list < CONTAINER_LISTS; list++) {
		const json *containers = json_get_in(pod, "spec", container_lists[list]);
		for (const json *c = json_first(containers); c != NULL; c = json_next(c))
			if (!is_ours(c))
				used |= used_by_context(json_get(c, "securityContext"), first);
	}
	return used;
}

size_t pod_annotations_size(const json *pod)
{
	size_t size = 0;
	const json *annotations = json_get_in(pod, "metadata", "annotations");
	for (const json *n = json_first(annotations); n != NULL; n = json_next(n)) {
		const char *value = json_string(n);
		size += strlen(json_key(n)) + (value == NULL ? 0 : strlen(value));
	}
	return size;
}

const char *kubelet_literal(struct arena *arena, const char *text)
{
	if (strchr(text, '$') == NULL)
		return text;
	char *escaped = arena_allocate(arena, 2 * strlen(text) + 1);
	if (escaped == NULL)
		return NULL;
	char *out = escaped;
	for (; *text != '\0'; text++) {
		if (*text == '$')
			*out++ = '$';
		*out++ = *text;
	}
	return escaped;
}

/* The array's element at index is the string text. */
static bool array_string_is(const json *array, size_t index, const char *text)
{
	return json_string_is(json_at(array, index), text);
}

bool is_string_array(const json *array)
{
	if (json_first(array) == NULL)
		return false;
	for (const json *n = json_first(array); n != NULL; n = json_next(n))
		if (!json_is_string(n))
			return false;
	return true;
}

static bool runs(const json *container, const char *name, const char *job)
{
	if (!json_string_is(json_get(container, "name"), name))
		return false;
	const json *command = json_get(container, "command");
	return array_string_is(command, 0, PATH_IMAGE) && array_string_is(command, 1, job);
}

bool container_is_watchdog(const json *container)
{
	return runs(container, NAME_WATCHDOG, "watch");
}

bool container_is_install(const json *container)
{
	return runs(container, NAME_INSTALL, "install");
}

/* Another injector may have put a program of its own before the shim, as vault-env does, or all of
 * it into the script of a shell. */
bool container_is_wrapped(const json *container)
{
	static const char *const lists[] = {"command", "args"};
	bool shim = false;
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		const json *words = json_get(container, lists[i]);
		for (const json *n = json_first(words); n != NULL; n = json_next(n)) {
			const char *word = json_string(n);
			if ((shim && json_string_is(n, "run")) ||
			    (word != NULL && strstr(word, PATH_SHIM " run ") != NULL))
				return true;
			shim = json_string_is(n, PATH_SHIM);
		}
	}
	return false;
}

bool container_has_flush(const json *container)
{
	const json *command = json_find(container, "lifecycle", "preStop", "exec", "command", NULL);
	return array_string_is(command, 0, PATH_SHIM) && array_string_is(command, 1, "flush");
}

bool container_has_mount(const json *container)
{
	const json *mounts = json_get(container, "volumeMounts");
	for (const json *mount = json_first(mounts); mount != NULL; mount = json_next(mount))
		if (json_string_is(json_get(mount, "mountPath"), PATH_MOUNT) &&
		    json_string_is(json_get(mount, "name"), NAME_VOLUME))
			return true;
	return false;
}

/* The length of the path's next component, which skips "//" and "/./"; 0: there is none. */
static size_t next_component(const char **path)
{
	for (;;) {
		*path += strspn(*path, "/");
		size_t length = strcspn(*path, "/");
		if (length != 1 || **path != '.')
			return length;
		*path += length;
	}
}

/* The kubelet takes relative paths as below /. A path with ".." is not resolved: it counts as ours.
 */
static bool path_meets_ours(const char *path)
{
	static const char ours[] = "lastword"; /* PATH_MOUNT's one component */
	size_t length = next_component(&path);
	if (length == 0 || (length == sizeof ours - 1 && strncmp(path, ours, length) == 0))
		return true;
	for (; length > 0; length = next_component(&path)) {
		if (length == 2 && strncmp(path, "..", 2) == 0)
			return true;
		path += length;
	}
	return false;
}

bool container_mount_is_taken(const json *container)
{
	const json *mounts = json_get(container, "volumeMounts");
	for (const json *mount = json_first(mounts); mount != NULL; mount = json_next(mount))
		if (path_meets_ours(json_get_string_or(mount, "mountPath", "")) &&
		    !(json_string_is(json_get(mount, "name"), NAME_VOLUME) &&
		      json_string_is(json_get(mount, "mountPath"), PATH_MOUNT)))
			return true;
	const json *devices = json_get(container, "volumeDevices");
	for (const json *device = json_first(devices); device != NULL; device = json_next(device))
		if (path_meets_ours(json_get_string_or(device, "devicePath", "")))
			return true;
	return false;
}

bool volume_is_ours(const json *volume, const char *image)
{
	const json *memory = json_get(volume, "emptyDir");
	return (json_string_is(json_get(memory, "medium"), "Memory") &&
	        json_string_is(json_get(memory, "sizeLimit"), SHIM_VOLUME_SIZE)) ||
	       json_string_is(json_get_in(volume, "image", "reference"), image);
}
