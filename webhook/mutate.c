#include "webhook/mutate.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/kube/names.h"
#include "webhook/maker.h"
#include "webhook/pod.h"
#include "webhook/sidecar.h"

/* ---- The agent's container ---- */

static void set_termination_message_policy(struct maker *maker, const struct container_plan *plan,
                                           const char *index)
{
	static const char key[] = "terminationMessagePolicy";
	json *value = json_new_string_ref(maker->arena, "FallbackToLogsOnError");
	if (json_get(plan->container, key) != NULL)
		patch_replace(maker->patch, value, "spec", "containers", index, key, NULL);
	else
		patch_add(maker->patch, value, "spec", "containers", index, key, NULL);
}

static void fill_kind(struct maker *maker, const struct container_plan *plan, const char *index,
                      const char *kind, const char *const *texts)
{
	const json *present = json_get_in(plan->container, "resources", kind);
	if (!any_quantity(texts))
		return;
	if (!json_is_object(present)) {
		patch_add(maker->patch, make_quantities(maker, texts), "spec", "containers", index,
		          "resources", kind, NULL);
		return;
	}
	for (size_t i = 0; i < RESOURCE_COUNT; i++)
		if (texts[i] != NULL)
			patch_add(maker->patch, json_new_string_ref(maker->arena, texts[i]), "spec",
			          "containers", index, "resources", kind, resource_names[i], NULL);
}

static void fill_resources(struct maker *maker, const struct container_plan *plan,
                           const char *index)
{
	if (!json_is_object(json_get(plan->container, "resources"))) {
		patch_add(maker->patch, make_resources(maker, &plan->fill), "spec", "containers",
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
	make_append_text(maker, command, PATH_SHIM);
	make_append_text(maker, command, "run");
	make_flag(maker, command, "--name", container->name);
	make_duration_flag(maker, command, "--grace", maker->plan->grace_seconds * SECOND);
	make_duration_flag(maker, command, "--deadline", shim->deadline);
	if (shim->deadline > 0 && shim->on_deadline != ACTION_REPORT)
		make_flag(maker, command, "--on-deadline", action_text(shim->on_deadline));
	make_duration_flag(maker, command, "--silence-after", shim->silence_after);
	if (shim->silence_after > 0 && shim->on_silence != ACTION_REPORT)
		make_flag(maker, command, "--on-silence", action_text(shim->on_silence));
	if (shim->done_file != NULL)
		make_literal_flag(maker, command, "--done-file", shim->done_file);
	if (maker->plan->user >= 0)
		make_integer_flag(maker, command, "--watchdog-uid", maker->plan->user);
	/* A classic watchdog starts after the agent, which may have terminated by then. */
	if (!maker->plan->native)
		make_flag(maker, command, "--wait", CLASSIC_WAIT);
	make_append_text(maker, command, "--");
	for (size_t i = 0; i < container->command.count; i++)
		make_append_text(maker, command, container->command.items[i]);
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

static void mount_shim(struct maker *maker, const struct container_plan *plan, const char *index)
{
	json *mount = make_volume_mount(maker, PATH_MOUNT, true);
	if (json_is_array(json_get(plan->container, "volumeMounts")))
		patch_add(maker->patch, mount, "spec", "containers", index, "volumeMounts", "-",
		          NULL);
	else
		patch_add(maker->patch, make_array_of(maker, mount), "spec", "containers", index,
		          "volumeMounts", NULL);
}

/* An existing hook runs first, inside the flush command, and its exit status counts. */
static json *flush_command(struct maker *maker, const struct container_plan *plan)
{
	json *command = json_new_array(maker->arena);
	make_append_text(maker, command, PATH_SHIM);
	make_append_text(maker, command, "flush");
	make_flag(maker, command, "--name", plan->name);
	make_duration_flag(maker, command, "--grace", maker->plan->grace_seconds * SECOND);
	if (maker->plan->shim.flush_signal != NULL)
		make_flag(maker, command, "--signal", maker->plan->shim.flush_signal);

	const json *theirs =
	        json_find(plan->container, "lifecycle", "preStop", "exec", "command", NULL);
	if (theirs != NULL)
		make_append_text(maker, command, "--");
	for (const json *n = json_first(theirs); n != NULL; n = json_next(n))
		make_append_text(maker, command, json_string(n));
	return command;
}

static void set_pre_stop(struct maker *maker, const struct container_plan *plan, const char *index)
{
	json *command = flush_command(maker, plan);
	const json *lifecycle = json_get(plan->container, "lifecycle");
	const json *hook = json_get(lifecycle, "preStop");
	if (json_get_in(hook, "exec", "command") != NULL) {
		patch_replace(maker->patch, command, "spec", "containers", index, "lifecycle",
		              "preStop", "exec", "command", NULL);
		return;
	}
	json *handler = make_around(maker, "exec", make_around(maker, "command", command));
	if (json_is_object(lifecycle))
		patch_add(maker->patch, handler, "spec", "containers", index, "lifecycle",
		          "preStop", NULL);
	else
		patch_add(maker->patch, make_around(maker, "preStop", handler), "spec",
		          "containers", index, "lifecycle", NULL);
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
	const char *index = make_index_text(maker, plan->index);
	for (size_t part = 0; part < PART_COUNT; part++)
		if (plan->parts[part] == REASON_APPLIED)
			change[part](maker, plan, index);
	if (plan->add_mount)
		mount_shim(maker, plan, index);
}

/* ---- Metadata ---- */

/* Adds members to metadata.<map>; creates the map, and metadata, when they are missing. */
struct map {
	struct maker *maker;
	const char *name;
	json *made; /* the whole map, when there is none */
};

static void put_in_map(struct map *map, const char *key, const char *value)
{
	struct maker *maker = map->maker;
	const json *present = json_get_in(maker->pod, "metadata", map->name);
	json *text = json_new_string_ref(maker->arena, value);
	if (json_get(present, key) != NULL)
		patch_replace(maker->patch, text, "metadata", map->name, key, NULL);
	else if (json_is_object(present))
		patch_add(maker->patch, text, "metadata", map->name, key, NULL);
	else if (map->made != NULL)
		make_member(maker, map->made, key, text);
	else
		map->made = make_around(maker, key, text);
}

static void finish_map(struct map *map, json **made_metadata)
{
	struct maker *maker = map->maker;
	if (map->made == NULL)
		return;
	if (json_is_object(json_get(maker->pod, "metadata")))
		patch_add(maker->patch, map->made, "metadata", map->name, NULL);
	else if (*made_metadata != NULL)
		make_member(maker, *made_metadata, map->name, map->made);
	else
		*made_metadata = make_around(maker, map->name, map->made);
}

/* The list in an annotation with the item added; NULL when the item is in it already. */
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
	return arena_join(maker->arena, present, separator, item);
}

/* The shim's volume must not keep the autoscaler from removing a node. */
static void mark_volume(struct map *annotations)
{
	struct maker *maker = annotations->maker;
	const char *list =
	        list_with(maker, pod_annotation(maker->pod, KEY_SAFE_TO_EVICT), NAME_VOLUME, ",");
	if (list != NULL)
		put_in_map(annotations, KEY_SAFE_TO_EVICT, list);
}

/* Webhooks of cloud identities mount tokens into every container except those that an annotation
 * names; ours need no token. Azure's webhook acts only on pods with its label. */
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
		sidecar_add(&maker);
	/* A second pass over the pod must not even touch the annotation. The label is for the
	 * observer, which also serves pods whose containers cannot be wrapped. */
	if (patch->count > 0 || pod_label(pod, KEY_INJECTED) == NULL)
		mark_pod(&maker, record);
}
