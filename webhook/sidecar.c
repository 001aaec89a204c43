#include "webhook/sidecar.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/kube/names.h"
#include "webhook/pod.h"

static json *security_context(struct maker *maker)
{
	json *context = json_new_object(maker->arena);
	json *drop = make_array_of(maker, json_new_string_ref(maker->arena, "ALL"));
	make_member(maker, context, "allowPrivilegeEscalation", json_new_bool(maker->arena, false));
	make_member(maker, context, "capabilities", make_around(maker, "drop", drop));
	make_member(maker, context, "privileged", json_new_bool(maker->arena, false));
	make_member(maker, context, "readOnlyRootFilesystem", json_new_bool(maker->arena, true));
	make_member(maker, context, "runAsNonRoot", json_new_bool(maker->arena, true));
	if (maker->plan->user >= 0) {
		make_member(maker, context, "runAsUser",
		            json_new_integer(maker->arena, maker->plan->user));
		make_member(maker, context, "runAsGroup",
		            json_new_integer(maker->arena, maker->plan->user));
	}
	make_member(
	        maker, context, "seccompProfile",
	        make_around(maker, "type", json_new_string_ref(maker->arena, "RuntimeDefault")));
	/* Our container would inherit a profile file that is meant for the agents. */
	if (json_string_is(json_find(maker->pod, "spec", "securityContext", "appArmorProfile",
	                             "type", NULL),
	                   "Localhost"))
		make_member(maker, context, "appArmorProfile",
		            make_around(maker, "type",
		                        json_new_string_ref(maker->arena, "RuntimeDefault")));
	return context;
}

/* What both of our containers share. The volume is mounted over the token's path as well, so that
 * the ServiceAccount admission plugin mounts no token there. */
static json *our_container(struct maker *maker, const char *name, json *command, bool writes_volume)
{
	const struct sidecar_config *sidecar = &maker->config->sidecar;
	json *container = json_new_object(maker->arena);
	make_member_text(maker, container, "name", name);
	make_member_text(maker, container, "image", sidecar->image);
	if (sidecar->image_pull_policy != NULL)
		make_member_text(maker, container, "imagePullPolicy", sidecar->image_pull_policy);
	make_member(maker, container, "command", command);
	json *resources = make_resources(maker, &maker->plan->sidecar_resources);
	if (json_first(resources) != NULL)
		make_member(maker, container, "resources", resources);
	make_member(maker, container, "securityContext", security_context(maker));
	json *mounts = json_new_array(maker->arena);
	if (writes_volume)
		make_append(maker, mounts, make_volume_mount(maker, PATH_MOUNT, false));
	make_append(maker, mounts, make_volume_mount(maker, PATH_TOKEN, true));
	make_member(maker, container, "volumeMounts", mounts);
	return container;
}

static json *install_command(struct maker *maker)
{
	json *command = json_new_array(maker->arena);
	make_append_text(maker, command, PATH_IMAGE);
	make_append_text(maker, command, "install");
	make_append_text(maker, command, PATH_SHIM);
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
			name = arena_join(maker->arena, name, "=", container->restart_policy);
		make_flag(maker, command, "--container", name);
	}
}

static json *watch_command(struct maker *maker)
{
	const struct plan *plan = maker->plan;
	const struct sidecar_config *sidecar = &maker->config->sidecar;
	json *command = json_new_array(maker->arena);
	make_append_text(maker, command, PATH_IMAGE);
	make_append_text(maker, command, "watch");
	make_flag(maker, command, "--mode", plan->native ? "native" : "classic");
	make_flag(maker, command, "--restart-policy", plan->restart_policy);
	make_flag(maker, command, "--grace",
	          make_duration_text(maker, plan->grace_seconds * SECOND));
	make_duration_flag(maker, command, "--start-timeout", sidecar->start_timeout);
	append_watched(maker, command);
	if (plan->owner_kind != NULL && plan->owner_name != NULL)
		make_literal_flag(
		        maker, command, "--owner",
		        arena_join(maker->arena, plan->owner_kind, "/", plan->owner_name));
	for (size_t i = 0; i < plan->context_count; i++)
		make_literal_flag(maker, command, "--context",
		                  arena_join(maker->arena, plan->context[i].name, "=",
		                             plan->context[i].value));
	for (size_t i = 0; i < maker->config->redact.count; i++)
		make_literal_flag(maker, command, "--redact", maker->config->redact.items[i]);
	for (size_t i = 0; i < maker->config->diagnosis_rules.count; i++)
		make_literal_flag(maker, command, "--rule",
		                  maker->config->diagnosis_rules.items[i]);
	make_integer_flag(maker, command, "--ring-size", sidecar->ring_size);
	make_integer_flag(maker, command, "--tail", sidecar->tail_size);
	return command;
}

/* The webhook does not know the node's name, and with generateName not the pod's: the downward API
 * tells the watchdog. */
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
		make_member_text(maker, field, "apiVersion", "v1");
		make_member_text(maker, field, "fieldPath", variables[i][1]);
		json *variable = json_new_object(maker->arena);
		make_member_text(maker, variable, "name", variables[i][0]);
		make_member(maker, variable, "valueFrom", make_around(maker, "fieldRef", field));
		make_append(maker, environment, variable);
	}
	return environment;
}

/* Our variables, and those of the configuration's extra. */
static json *environment(struct maker *maker)
{
	json *variables = identity_environment(maker);
	const json *more = json_get(maker->config->sidecar.extra, "env");
	for (const json *n = json_first(more); n != NULL; n = json_next(n))
		make_append(maker, variables, json_duplicate(maker->arena, n));
	return variables;
}

static void add_extra(struct maker *maker, json *container)
{
	const json *extra = maker->config->sidecar.extra;
	for (const json *n = json_first(extra); n != NULL; n = json_next(n))
		if (strcmp(json_key(n), "env") != 0)
			make_member(maker, container, json_key(n), json_duplicate(maker->arena, n));
}

static json *watchdog_container(struct maker *maker)
{
	const struct plan *plan = maker->plan;
	bool installs = plan->native && !plan->image_volume;
	json *container = our_container(maker, NAME_WATCHDOG, watch_command(maker), installs);
	make_member(maker, container, "env", environment(maker));
	add_extra(maker, container);
	if (plan->native)
		make_member_text(maker, container, "restartPolicy", "Always");
	if (installs) {
		json *hook = make_around(maker, "exec",
		                         make_around(maker, "command", install_command(maker)));
		make_member(maker, container, "lifecycle", make_around(maker, "postStart", hook));
	}
	return container;
}

static json *volume(struct maker *maker)
{
	json *volume = json_new_object(maker->arena);
	make_member_text(maker, volume, "name", NAME_VOLUME);
	json *source = json_new_object(maker->arena);
	if (maker->plan->image_volume) {
		make_member_text(maker, source, "reference", maker->config->sidecar.image);
		if (maker->config->sidecar.image_pull_policy != NULL)
			make_member_text(maker, source, "pullPolicy",
			                 maker->config->sidecar.image_pull_policy);
		make_member(maker, volume, "image", source);
	} else {
		make_member_text(maker, source, "medium", "Memory");
		make_member_text(maker, source, "sizeLimit", SHIM_VOLUME_SIZE);
		make_member(maker, volume, "emptyDir", source);
	}
	return volume;
}

/* Appends to spec.<list>; creates the list when it is missing. *made: this patch has created it. */
static void append_to_list(struct maker *maker, const char *list, json *value, bool *made)
{
	if (*made || json_is_array(json_get_in(maker->pod, "spec", list)))
		patch_add(maker->patch, value, "spec", list, "-", NULL);
	else
		patch_add(maker->patch, make_array_of(maker, value), "spec", list, NULL);
	*made = true;
}

static bool has_pull_secret(const json *pod, const char *name)
{
	const json *secrets = json_get_in(pod, "spec", "imagePullSecrets");
	for (const json *n = json_first(secrets); n != NULL; n = json_next(n))
		if (json_string_is(json_get(n, "name"), name))
			return true;
	return false;
}

/* Adds the Secrets for our image that the pod does not have. */
static void add_pull_secrets(struct maker *maker)
{
	const struct strings *secrets = &maker->config->sidecar.image_pull_secrets;
	bool made = false;
	for (size_t i = 0; i < secrets->count; i++)
		if (!has_pull_secret(maker->pod, secrets->items[i]))
			append_to_list(
			        maker, "imagePullSecrets",
			        make_around(maker, "name",
			                    json_new_string_ref(maker->arena, secrets->items[i])),
			        &made);
}

void sidecar_add(struct maker *maker)
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
