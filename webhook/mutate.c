#include "webhook/mutate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/buffer.h"
#include "lib/base/duration.h"
#include "lib/kube/names.h"
#include "webhook/pod.h"

/* Everything that is made goes through here, so that a NULL reaches the patch as its failure. */
struct maker {
	struct arena *arena;
	const struct plan *plan;
	const struct config *config;
	const json *pod;
	struct patch *patch;
};

/* ---- Small values ---- */

static void member(struct maker *maker, json *object, const char *key, json *value)
{
	if (object == NULL || !json_add_member(maker->arena, object, key, value))
		maker->patch->failed = true;
}

static void member_text(struct maker *maker, json *object, const char *key, const char *text)
{
	member(maker, object, key, json_new_string(maker->arena, text));
}

static void append(struct maker *maker, json *array, json *value)
{
	if (array == NULL || !json_append(array, value))
		maker->patch->failed = true;
}

static void append_text(struct maker *maker, json *array, const char *text)
{
	append(maker, array, text == NULL ? NULL : json_new_string(maker->arena, text));
}

static void append_flag(struct maker *maker, json *array, const char *flag, const char *value)
{
	append_text(maker, array, flag);
	append_text(maker, array, value);
}

/* With a value that the kubelet is to leave as it is. */
static void append_literal(struct maker *maker, json *array, const char *flag, const char *value)
{
	append_flag(maker, array, flag,
	            value == NULL ? NULL : kubelet_literal(maker->arena, value));
}

static const char *duration_text(struct maker *maker, int64_t nanoseconds)
{
	char storage[64];
	struct buffer text;
	buffer_init_fixed(&text, storage, sizeof storage);
	duration_print(&text, nanoseconds);
	return arena_copy(maker->arena, buffer_text(&text), text.length);
}

static void append_duration(struct maker *maker, json *array, const char *flag, int64_t nanoseconds)
{
	if (nanoseconds > 0)
		append_flag(maker, array, flag, duration_text(maker, nanoseconds));
}

static const char *index_text(struct maker *maker, size_t index)
{
	const char *text = arena_printf(maker->arena, "%zu", index);
	if (text == NULL)
		maker->patch->failed = true;
	return text == NULL ? "" : text;
}

/* A missing or null parent is made around the value: add {"key": value}, or [value]. */
static json *around(struct maker *maker, const char *key, json *value)
{
	json *object = json_new_object(maker->arena);
	member(maker, object, key, value);
	return object;
}

static json *array_of(struct maker *maker, json *value)
{
	json *array = json_new_array(maker->arena);
	append(maker, array, value);
	return array;
}

/* ---- The agent's container ---- */

static void set_termination_message_policy(struct maker *maker, const struct container_plan *plan,
                                           const char *index)
{
	static const char key[] = "terminationMessagePolicy";
	json *value = json_new_string(maker->arena, "FallbackToLogsOnError");
	if (json_get(plan->container, key) != NULL)
		patch_replace(maker->patch, value, "spec", "containers", index, key, NULL);
	else
		patch_add(maker->patch, value, "spec", "containers", index, key, NULL);
}

static json *quantities(struct maker *maker, const char *const *texts)
{
	json *object = json_new_object(maker->arena);
	for (size_t i = 0; i < RESOURCE_COUNT; i++)
		if (texts[i] != NULL)
			member_text(maker, object, resource_names[i], texts[i]);
	return object;
}

static bool any_text(const char *const *texts)
{
	for (size_t i = 0; i < RESOURCE_COUNT; i++)
		if (texts[i] != NULL)
			return true;
	return false;
}

static json *resources_object(struct maker *maker, const struct resources *resources)
{
	json *object = json_new_object(maker->arena);
	if (any_text(resources->limits))
		member(maker, object, "limits", quantities(maker, resources->limits));
	if (any_text(resources->requests))
		member(maker, object, "requests", quantities(maker, resources->requests));
	return object;
}

static void fill_kind(struct maker *maker, const struct container_plan *plan, const char *index,
                      const char *kind, const char *const *texts)
{
	const json *present = json_find(plan->container, "resources", kind, NULL);
	if (!any_text(texts))
		return;
	if (!json_is_object(present)) {
		patch_add(maker->patch, quantities(maker, texts), "spec", "containers", index,
		          "resources", kind, NULL);
		return;
	}
	for (size_t i = 0; i < RESOURCE_COUNT; i++)
		if (texts[i] != NULL)
			patch_add(maker->patch, json_new_string(maker->arena, texts[i]), "spec",
			          "containers", index, "resources", kind, resource_names[i], NULL);
}

static void fill_resources(struct maker *maker, const struct container_plan *plan,
                           const char *index)
{
	if (!json_is_object(json_get(plan->container, "resources"))) {
		patch_add(maker->patch, resources_object(maker, &plan->fill), "spec", "containers",
		          index, "resources", NULL);
		return;
	}
	fill_kind(maker, plan, index, "limits", plan->fill.limits);
	fill_kind(maker, plan, index, "requests", plan->fill.requests);
}

static const char *action_text(enum end_action action)
{
	return action == ACTION_KILL ? "kill" : "report";
}

static json *run_command(struct maker *maker, const struct container_plan *container)
{
	const struct shim_options *shim = &maker->plan->shim;
	json *command = json_new_array(maker->arena);
	append_text(maker, command, PATH_SHIM);
	append_text(maker, command, "run");
	append_flag(maker, command, "--name", container->name);
	append_duration(maker, command, "--grace", maker->plan->grace_seconds * SECOND);
	append_duration(maker, command, "--deadline", shim->deadline);
	if (shim->deadline > 0 && shim->on_deadline != ACTION_REPORT)
		append_flag(maker, command, "--on-deadline", action_text(shim->on_deadline));
	append_duration(maker, command, "--silence-after", shim->silence_after);
	if (shim->silence_after > 0 && shim->on_silence != ACTION_REPORT)
		append_flag(maker, command, "--on-silence", action_text(shim->on_silence));
	if (shim->done_file != NULL)
		append_literal(maker, command, "--done-file", shim->done_file);
	if (maker->plan->user >= 0)
		append_flag(maker, command, "--watchdog-uid",
		            arena_printf(maker->arena, "%" PRId64, maker->plan->user));
	/* Its container starts after the agent's, which may have ended by then. */
	if (!maker->plan->native)
		append_flag(maker, command, "--wait", CLASSIC_WAIT);
	append_text(maker, command, "--");
	for (size_t i = 0; i < container->command.count; i++)
		append_text(maker, command, container->command.items[i]);
	return command;
}

static void wrap_command(struct maker *maker, const struct container_plan *plan, const char *index)
{
	json *command = run_command(maker, plan);
	if (json_get(plan->container, "command") != NULL)
		patch_replace(maker->patch, command, "spec", "containers", index, "command", NULL);
	else
		patch_add(maker->patch, command, "spec", "containers", index, "command", NULL);
}

static json *volume_mount(struct maker *maker, const char *path, bool read_only)
{
	json *mount = json_new_object(maker->arena);
	member_text(maker, mount, "name", NAME_VOLUME);
	member_text(maker, mount, "mountPath", path);
	if (read_only)
		member(maker, mount, "readOnly", json_new_bool(maker->arena, true));
	return mount;
}

static void mount_shim(struct maker *maker, const struct container_plan *plan, const char *index)
{
	json *mount = volume_mount(maker, PATH_MOUNT, true);
	if (json_is_array(json_get(plan->container, "volumeMounts")))
		patch_add(maker->patch, mount, "spec", "containers", index, "volumeMounts", "-",
		          NULL);
	else
		patch_add(maker->patch, array_of(maker, mount), "spec", "containers", index,
		          "volumeMounts", NULL);
}

/* The hook that is there runs first, inside ours; its status counts. */
static json *flush_command(struct maker *maker, const struct container_plan *plan)
{
	json *command = json_new_array(maker->arena);
	append_text(maker, command, PATH_SHIM);
	append_text(maker, command, "flush");
	append_flag(maker, command, "--name", plan->name);
	append_duration(maker, command, "--grace", maker->plan->grace_seconds * SECOND);
	if (maker->plan->shim.flush_signal != NULL)
		append_flag(maker, command, "--signal", maker->plan->shim.flush_signal);

	const json *theirs =
	        json_find(plan->container, "lifecycle", "preStop", "exec", "command", NULL);
	if (theirs != NULL)
		append_text(maker, command, "--");
	for (const json *n = json_first(theirs); n != NULL; n = json_next(n))
		append_text(maker, command, json_string(n));
	return command;
}

static void set_pre_stop(struct maker *maker, const struct container_plan *plan, const char *index)
{
	json *command = flush_command(maker, plan);
	const json *lifecycle = json_get(plan->container, "lifecycle");
	const json *hook = json_get(lifecycle, "preStop");
	if (json_find(hook, "exec", "command", NULL) != NULL) {
		patch_replace(maker->patch, command, "spec", "containers", index, "lifecycle",
		              "preStop", "exec", "command", NULL);
		return;
	}
	json *handler = around(maker, "exec", around(maker, "command", command));
	if (json_is_object(lifecycle))
		patch_add(maker->patch, handler, "spec", "containers", index, "lifecycle",
		          "preStop", NULL);
	else
		patch_add(maker->patch, around(maker, "preStop", handler), "spec", "containers",
		          index, "lifecycle", NULL);
}

static void change_container(struct maker *maker, const struct container_plan *plan)
{
	static void (*const change[PART_COUNT])(
	        struct maker * maker, const struct container_plan *plan, const char *index) = {
	        [PART_TERMINATION_MESSAGE_POLICY] = set_termination_message_policy,
	        [PART_RESOURCES] = fill_resources,
	        [PART_COMMAND] = wrap_command,
	        [PART_PRE_STOP] = set_pre_stop,
	};
	const char *index = index_text(maker, plan->index);
	for (size_t part = 0; part < PART_COUNT; part++)
		if (plan->parts[part] == REASON_APPLIED)
			change[part](maker, plan, index);
	if (plan->add_mount)
		mount_shim(maker, plan, index);
}

/* ---- The sidecar ---- */

static json *security_context(struct maker *maker)
{
	json *context = json_new_object(maker->arena);
	json *drop = array_of(maker, json_new_string(maker->arena, "ALL"));
	member(maker, context, "allowPrivilegeEscalation", json_new_bool(maker->arena, false));
	member(maker, context, "capabilities", around(maker, "drop", drop));
	member(maker, context, "privileged", json_new_bool(maker->arena, false));
	member(maker, context, "readOnlyRootFilesystem", json_new_bool(maker->arena, true));
	member(maker, context, "runAsNonRoot", json_new_bool(maker->arena, true));
	if (maker->plan->user >= 0) {
		member(maker, context, "runAsUser",
		       json_new_integer(maker->arena, maker->plan->user));
		member(maker, context, "runAsGroup",
		       json_new_integer(maker->arena, maker->plan->user));
	}
	member(maker, context, "seccompProfile",
	       around(maker, "type", json_new_string(maker->arena, "RuntimeDefault")));
	/* A profile of the node's that is meant for the agents would be ours too. */
	if (json_string_is(json_find(maker->pod, "spec", "securityContext", "appArmorProfile",
	                             "type", NULL),
	                   "Localhost"))
		member(maker, context, "appArmorProfile",
		       around(maker, "type", json_new_string(maker->arena, "RuntimeDefault")));
	return context;
}

/* What both of our containers share. The volume over the token's path keeps the ServiceAccount
 * plugin from mounting the app's token there. */
static json *our_container(struct maker *maker, const char *name, json *command, bool writes_volume)
{
	const struct sidecar_config *sidecar = &maker->config->sidecar;
	json *container = json_new_object(maker->arena);
	member_text(maker, container, "name", name);
	member_text(maker, container, "image", sidecar->image);
	if (sidecar->image_pull_policy != NULL)
		member_text(maker, container, "imagePullPolicy", sidecar->image_pull_policy);
	member(maker, container, "command", command);
	json *resources = resources_object(maker, &maker->plan->sidecar_resources);
	if (json_first(resources) != NULL)
		member(maker, container, "resources", resources);
	member(maker, container, "securityContext", security_context(maker));
	json *mounts = json_new_array(maker->arena);
	if (writes_volume)
		append(maker, mounts, volume_mount(maker, PATH_MOUNT, false));
	append(maker, mounts, volume_mount(maker, PATH_TOKEN, true));
	member(maker, container, "volumeMounts", mounts);
	return container;
}

static json *install_command(struct maker *maker)
{
	json *command = json_new_array(maker->arena);
	append_text(maker, command, PATH_IMAGE);
	append_text(maker, command, "install");
	append_text(maker, command, PATH_SHIM);
	return command;
}

static void append_watched(struct maker *maker, json *command)
{
	for (size_t i = 0; i < maker->plan->container_count; i++) {
		const struct container_plan *container = &maker->plan->containers[i];
		enum reason reason = container->parts[PART_COMMAND];
		if (reason != REASON_APPLIED && reason != REASON_ALREADY)
			continue;
		const char *name = container->name;
		if (container->restart_policy != NULL)
			name = arena_printf(maker->arena, "%s=%s", name, container->restart_policy);
		append_flag(maker, command, "--container", name);
	}
}

static json *watch_command(struct maker *maker)
{
	const struct plan *plan = maker->plan;
	const struct sidecar_config *sidecar = &maker->config->sidecar;
	json *command = json_new_array(maker->arena);
	append_text(maker, command, PATH_IMAGE);
	append_text(maker, command, "watch");
	append_flag(maker, command, "--mode", plan->native ? "native" : "classic");
	append_flag(maker, command, "--restart-policy", plan->restart_policy);
	append_flag(maker, command, "--grace", duration_text(maker, plan->grace_seconds * SECOND));
	append_duration(maker, command, "--start-timeout", sidecar->start_timeout);
	append_watched(maker, command);
	if (plan->owner_kind != NULL && plan->owner_name != NULL)
		append_literal(
		        maker, command, "--owner",
		        arena_printf(maker->arena, "%s/%s", plan->owner_kind, plan->owner_name));
	for (size_t i = 0; i < plan->context_count; i++)
		append_literal(maker, command, "--context",
		               arena_printf(maker->arena, "%s=%s", plan->context[i].name,
		                            plan->context[i].value));
	for (size_t i = 0; i < maker->config->redact.count; i++)
		append_literal(maker, command, "--redact", maker->config->redact.items[i]);
	append_flag(maker, command, "--ring-size",
	            arena_printf(maker->arena, "%" PRId64, sidecar->ring_size));
	append_flag(maker, command, "--tail",
	            arena_printf(maker->arena, "%" PRId64, sidecar->tail_size));
	return command;
}

/* The pod's name may not be known yet (generateName), the node's never is: the downward API. */
static json *identity_environment(struct maker *maker)
{
	static const char *const variables[][2] = {
	        {"LASTWORD_POD_NAME", "metadata.name"},
	        {"LASTWORD_POD_NAMESPACE", "metadata.namespace"},
	        {"LASTWORD_POD_UID", "metadata.uid"},
	        {"LASTWORD_NODE_NAME", "spec.nodeName"},
	};
	json *environment = json_new_array(maker->arena);
	for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
		json *field = json_new_object(maker->arena);
		member_text(maker, field, "apiVersion", "v1");
		member_text(maker, field, "fieldPath", variables[i][1]);
		json *variable = json_new_object(maker->arena);
		member_text(maker, variable, "name", variables[i][0]);
		member(maker, variable, "valueFrom", around(maker, "fieldRef", field));
		append(maker, environment, variable);
	}
	return environment;
}

/* Ours, and what the configuration wants in all containers. */
static json *environment(struct maker *maker)
{
	json *variables = identity_environment(maker);
	const json *more = json_get(maker->config->sidecar.extra, "env");
	for (const json *n = json_first(more); n != NULL; n = json_next(n))
		append(maker, variables, json_duplicate(maker->arena, n));
	return variables;
}

static void add_extra(struct maker *maker, json *container)
{
	const json *extra = maker->config->sidecar.extra;
	for (const json *n = json_first(extra); n != NULL; n = json_next(n))
		if (strcmp(json_key(n), "env") != 0)
			member(maker, container, json_key(n), json_duplicate(maker->arena, n));
}

static json *watchdog_container(struct maker *maker)
{
	const struct plan *plan = maker->plan;
	bool installs = plan->native && !plan->image_volume;
	json *container = our_container(maker, NAME_WATCHDOG, watch_command(maker), installs);
	member(maker, container, "env", environment(maker));
	add_extra(maker, container);
	if (plan->native)
		member_text(maker, container, "restartPolicy", "Always");
	if (installs) {
		json *hook =
		        around(maker, "exec", around(maker, "command", install_command(maker)));
		member(maker, container, "lifecycle", around(maker, "postStart", hook));
	}
	return container;
}

static json *volume(struct maker *maker)
{
	json *volume = json_new_object(maker->arena);
	member_text(maker, volume, "name", NAME_VOLUME);
	json *source = json_new_object(maker->arena);
	if (maker->plan->image_volume) {
		member_text(maker, source, "reference", maker->config->sidecar.image);
		if (maker->config->sidecar.image_pull_policy != NULL)
			member_text(maker, source, "pullPolicy",
			            maker->config->sidecar.image_pull_policy);
		member(maker, volume, "image", source);
	} else {
		member_text(maker, source, "medium", "Memory");
		member_text(maker, source, "sizeLimit", SHIM_VOLUME_SIZE);
		member(maker, volume, "emptyDir", source);
	}
	return volume;
}

/* Appends to spec.<list>, which is made when it is missing. *made: it has been made before. */
static void append_to_list(struct maker *maker, const char *list, json *value, bool *made)
{
	if (*made || json_is_array(json_find(maker->pod, "spec", list, NULL)))
		patch_add(maker->patch, value, "spec", list, "-", NULL);
	else
		patch_add(maker->patch, array_of(maker, value), "spec", list, NULL);
	*made = true;
}

static bool has_pull_secret(const json *pod, const char *name)
{
	const json *secrets = json_find(pod, "spec", "imagePullSecrets", NULL);
	for (const json *n = json_first(secrets); n != NULL; n = json_next(n))
		if (json_string_is(json_get(n, "name"), name))
			return true;
	return false;
}

/* For our image: those that the configuration names and the pod has not. */
static void add_pull_secrets(struct maker *maker)
{
	const struct strings *secrets = &maker->config->sidecar.image_pull_secrets;
	bool made = false;
	for (size_t i = 0; i < secrets->count; i++)
		if (!has_pull_secret(maker->pod, secrets->items[i]))
			append_to_list(maker, "imagePullSecrets",
			               around(maker, "name",
			                      json_new_string(maker->arena, secrets->items[i])),
			               &made);
}

static void add_sidecar(struct maker *maker)
{
	const struct plan *plan = maker->plan;
	bool made_volumes = false;
	bool made_init = false;
	bool made_containers = false;
	add_pull_secrets(maker);
	if (plan->add_volume)
		append_to_list(maker, "volumes", volume(maker), &made_volumes);
	if (plan->add_install)
		append_to_list(maker, "initContainers",
		               our_container(maker, NAME_INSTALL, install_command(maker), true),
		               &made_init);
	if (plan->add_watchdog && plan->native)
		append_to_list(maker, "initContainers", watchdog_container(maker), &made_init);
	else if (plan->add_watchdog)
		append_to_list(maker, "containers", watchdog_container(maker), &made_containers);
}

/* ---- Metadata ---- */

/* Adds members to metadata.<map>, made when it is missing; metadata itself too. */
struct map {
	struct maker *maker;
	const char *name;
	json *made; /* the whole map, when there is none */
};

static void put_in_map(struct map *map, const char *key, const char *value)
{
	struct maker *maker = map->maker;
	const json *present = json_find(maker->pod, "metadata", map->name, NULL);
	json *text = json_new_string(maker->arena, value);
	if (json_get(present, key) != NULL)
		patch_replace(maker->patch, text, "metadata", map->name, key, NULL);
	else if (json_is_object(present))
		patch_add(maker->patch, text, "metadata", map->name, key, NULL);
	else if (map->made != NULL)
		member(maker, map->made, key, text);
	else
		map->made = around(maker, key, text);
}

static void finish_map(struct map *map, json **made_metadata)
{
	struct maker *maker = map->maker;
	if (map->made == NULL)
		return;
	if (json_is_object(json_get(maker->pod, "metadata")))
		patch_add(maker->patch, map->made, "metadata", map->name, NULL);
	else if (*made_metadata != NULL)
		member(maker, *made_metadata, map->name, map->made);
	else
		*made_metadata = around(maker, map->name, map->made);
}

/* The annotation's list with the item in it; NULL when it is there already. */
static const char *list_with(struct maker *maker, const char *present, const char *item,
                             const char *separator)
{
	size_t item_length = strlen(item);
	if (present == NULL || present[0] == '\0')
		return item;
	for (const char *at = present; *at != '\0';) {
		at += strspn(at, " ");
		size_t length = strcspn(at, separator);
		if (strncmp(at, item, item_length) == 0 &&
		    strspn(at + item_length, " ") + item_length == length)
			return NULL;
		at += length + (at[length] == separator[0]);
	}
	return arena_printf(maker->arena, "%s%s%s", present, separator, item);
}

/* Our volume need not hold a node back. */
static void mark_volume(struct map *annotations)
{
	struct maker *maker = annotations->maker;
	const char *list =
	        list_with(maker, pod_annotation(maker->pod, KEY_SAFE_TO_EVICT), NAME_VOLUME, ",");
	if (list != NULL)
		put_in_map(annotations, KEY_SAFE_TO_EVICT, list);
}

/* Our containers need no cloud identity: the webhooks that mount its tokens into every container
 * leave out those that an annotation names. Azure's acts on pods with its label alone. */
static void mark_containers(struct map *annotations, const char *key)
{
	struct maker *maker = annotations->maker;
	bool azure = strncmp(key, KEY_AZURE_PREFIX, sizeof KEY_AZURE_PREFIX - 1) == 0;
	const char *used = pod_label(maker->pod, KEY_AZURE_USE);
	if (azure && (used == NULL || strcmp(used, "true") != 0))
		return;
	const char *present = pod_annotation(maker->pod, key);
	const char *list = present;
	const char *const names[] = {NAME_WATCHDOG, NAME_INSTALL};
	bool installs =
	        maker->plan->add_install || pod_init_container(maker->pod, NAME_INSTALL) != NULL;
	for (size_t i = 0; i < (installs ? 2 : 1); i++) {
		const char *with = list_with(maker, list, names[i], azure ? ";" : ",");
		list = with == NULL ? list : with;
	}
	if (list != present)
		put_in_map(annotations, key, list);
}

static void mark_pod(struct maker *maker, const char *record)
{
	json *made_metadata = NULL;
	struct map labels = {.maker = maker, .name = "labels"};
	const char *injected = pod_label(maker->pod, KEY_INJECTED);
	if (injected == NULL || strcmp(injected, "true") != 0)
		put_in_map(&labels, KEY_INJECTED, "true");
	finish_map(&labels, &made_metadata);

	struct map annotations = {.maker = maker, .name = "annotations"};
	const struct strings *skipped = &maker->config->sidecar.skip_annotations;
	if (record != NULL && maker->plan->watchdog && !maker->plan->image_volume)
		mark_volume(&annotations);
	for (size_t i = 0; record != NULL && maker->plan->watchdog && i < skipped->count; i++)
		mark_containers(&annotations, skipped->items[i]);
	if (record != NULL)
		put_in_map(&annotations, KEY_STATUS, record);
	finish_map(&annotations, &made_metadata);
	if (made_metadata != NULL)
		patch_add(maker->patch, made_metadata, "metadata", NULL);
}

void mutate(const struct plan *plan, const struct config *config, const json *pod,
            const char *record, struct patch *patch)
{
	struct maker maker = {
	        .arena = patch->arena, .plan = plan, .config = config, .pod = pod, .patch = patch};
	if (plan->reason != REASON_APPLIED)
		return;
	for (size_t i = 0; i < plan->container_count; i++)
		change_container(&maker, &plan->containers[i]);
	if (plan->watchdog)
		add_sidecar(&maker);
	/* Nothing to do: a second pass must not even touch the annotation. The label is for the
	 * observer, which also serves pods whose containers cannot be wrapped. */
	if (patch->count > 0 || pod_label(pod, KEY_INJECTED) == NULL)
		mark_pod(&maker, record);
}
