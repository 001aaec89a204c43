#include "webhook/policy.h"

#include <string.h>

#include "lib/base/glob.h"
#include "lib/document/quantity.h"
#include "lib/kube/names.h"
#include "webhook/options.h"
#include "webhook/pod.h"
#include "webhook/select.h"

/* Kubernetes 1.32: every supported kubelet is then at least 1.29, the first with native sidecars
 * on by default. 1.35: image volumes are on by default. */
#define MINOR_NATIVE_SAFE     32
#define MINOR_NATIVE_POSSIBLE 29
#define MINOR_IMAGE_VOLUME    35

const char *const part_names[PART_COUNT] = {
        [PART_TERMINATION_MESSAGE_POLICY] = "terminationMessagePolicy",
        [PART_RESOURCES] = "resources",
        [PART_COMMAND] = "command",
        [PART_PRE_STOP] = "preStop",
};

/* ---- Pods that are left alone ---- */

static bool list_is_large(const json *list, size_t most)
{
	return json_size(list) > most;
}

static bool pod_is_large(const json *pod)
{
	static const char *const lists[] = {"containers", "initContainers", "ephemeralContainers"};
	const json *spec = json_get(pod, "spec");
	size_t containers = 0;
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		const json *list = json_get(spec, lists[i]);
		containers += json_size(list);
		for (const json *c = json_first(list); c != NULL; c = json_next(c))
			if (list_is_large(json_get(c, "volumeMounts"), POLICY_MOUNTS_MAX))
				return true;
	}
	return containers > POLICY_CONTAINERS_MAX ||
	       list_is_large(json_get(spec, "volumes"), POLICY_VOLUMES_MAX);
}

/* Every member that is there has the type that Kubernetes documents, as far as we look. */
static bool container_has_shape(const json *container)
{
	static const struct {
		const char *key;
		bool (*is)(const json *node);
	} members[] = {
	        {"command", json_is_array},
	        {"args", json_is_array},
	        {"env", json_is_array},
	        {"volumeMounts", json_is_array},
	        {"resources", json_is_object},
	        {"lifecycle", json_is_object},
	        {"securityContext", json_is_object},
	        {"terminationMessagePolicy", json_is_string},
	        {"image", json_is_string},
	};
	if (json_get_string(container, "name") == NULL)
		return false;
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		const json *node = json_get(container, members[i].key);
		if (node != NULL && !json_is_null(node) && !members[i].is(node))
			return false;
	}
	return true;
}

static bool list_has_shape(const json *list, bool (*element)(const json *node))
{
	if (list == NULL || json_is_null(list))
		return true;
	if (!json_is_array(list))
		return false;
	for (const json *n = json_first(list); n != NULL; n = json_next(n))
		if (!element(n))
			return false;
	return true;
}

static bool map_has_shape(const json *map)
{
	if (map == NULL || json_is_null(map))
		return true;
	for (const json *n = json_first(map); n != NULL; n = json_next(n))
		if (!json_is_string(n))
			return false;
	return json_is_object(map);
}

static bool pod_has_shape(const json *pod)
{
	const json *metadata = json_get(pod, "metadata");
	const json *spec = json_get(pod, "spec");
	return (metadata == NULL || json_is_object(metadata)) && json_is_object(spec) &&
	       map_has_shape(json_get(metadata, "labels")) &&
	       map_has_shape(json_get(metadata, "annotations")) &&
	       json_size(json_get(spec, "containers")) > 0 &&
	       list_has_shape(json_get(spec, "containers"), container_has_shape) &&
	       list_has_shape(json_get(spec, "initContainers"), container_has_shape) &&
	       list_has_shape(json_get(spec, "volumes"), json_is_object);
}

/* Foreign things under our names: the pod is not ours to complete. */
static enum reason find_collision(const json *pod, const char *image)
{
	const json *watchdog = pod_container(pod, NAME_WATCHDOG, NULL);
	if (watchdog == NULL)
		watchdog = pod_init_container(pod, NAME_WATCHDOG);
	if (watchdog != NULL && !container_is_watchdog(watchdog))
		return REASON_NAME_TAKEN;

	const json *install = pod_init_container(pod, NAME_INSTALL);
	if (pod_container(pod, NAME_INSTALL, NULL) != NULL ||
	    (install != NULL && !container_is_install(install)))
		return REASON_NAME_TAKEN;

	const json *volume = pod_volume(pod, NAME_VOLUME);
	if (volume != NULL && !volume_is_ours(volume, image))
		return REASON_VOLUME_TAKEN;
	return REASON_APPLIED;
}

static enum reason pod_skip_reason(const struct policy_input *input, const struct rule *rule)
{
	const json *pod = input->pod;
	if (!pod_has_shape(pod))
		return REASON_MALFORMED;
	if (rule == NULL)
		return REASON_NO_RULE;
	if (options_opted_out(pod))
		return REASON_OPT_OUT;
	if (pod_annotation(pod, KEY_MIRROR) != NULL)
		return REASON_MIRROR_POD;
	if (pod_is_large(pod))
		return REASON_TOO_LARGE;
	return find_collision(pod, input->config->sidecar.image);
}

/* A person should hear of these; the others are as intended. */
static void warn_of_skip(struct arena *arena, struct plan *plan)
{
	switch (plan->reason) {
	case REASON_MALFORMED:
	case REASON_MIRROR_POD:
	case REASON_NAME_TAKEN:
	case REASON_VOLUME_TAKEN:
	case REASON_MOUNT_TAKEN:
	case REASON_TOO_LARGE:
		plan_warn(arena, plan, "lastword: pod left as it is (%s): %s",
		          reason_code(plan->reason), reason_meaning(plan->reason));
		break;
	default:
		break;
	}
}

/* ---- Resources ---- */

/* The larger of two quantities; one that cannot be read loses. */
static const char *larger(const char *a, const char *b)
{
	struct quantity first;
	struct quantity second;
	if (!quantity_parse(a, &first, NULL))
		return b;
	if (!quantity_parse(b, &second, NULL))
		return a;
	return quantity_compare(&first, &second) >= 0 ? a : b;
}

/* What is there, as text; YAML may have a number. */
static const char *quantity_text(const json *container, const char *kind, const char *name)
{
	return json_scalar_text(json_find(container, "resources", kind, name, NULL));
}

static bool is_given(const json *container, const char *kind, const char *name)
{
	const json *node = json_find(container, "resources", kind, name, NULL);
	return node != NULL && !json_is_null(node);
}

/* A limit without a request is a request too: Kubernetes copies it (defaults.go). So a request is
 * filled only where neither is given, and a limit is raised to the request. */
static enum reason decide_resources(const json *pod, const struct rule *rule, const json *container,
                                    struct resources *ret_fill)
{
	if (json_find(pod, "spec", "resources", NULL) != NULL)
		return REASON_POD_LEVEL;

	struct resources fill = {0};
	bool any = false;
	for (size_t i = 0; i < RESOURCE_COUNT; i++) {
		const char *name = resource_names[i];
		if (is_given(container, "limits", name))
			continue;
		const char *request = quantity_text(container, "requests", name);
		if (!is_given(container, "requests", name))
			request = fill.requests[i] = rule->resources.requests[i];
		if (request == NULL && is_given(container, "requests", name))
			continue; /* not a quantity that we can read: no limit beside it */
		fill.limits[i] = rule->resources.limits[i];
		if (fill.limits[i] != NULL && request != NULL)
			fill.limits[i] = larger(fill.limits[i], request);
		any = any || fill.limits[i] != NULL || fill.requests[i] != NULL;
	}
	if (!any)
		return REASON_PRESENT;
	*ret_fill = fill;
	return REASON_APPLIED;
}

/* ---- The command ---- */

static enum reason pod_wrap_obstacle(const struct policy_input *input, const struct plan *plan)
{
	const json *spec = json_get(input->pod, "spec");
	if (pod_is_windows(input->pod))
		return REASON_WINDOWS;
	if (json_is_true(json_get(spec, "hostNetwork")))
		return REASON_HOST_NETWORK;
	const char *runtime_class = json_get_string(spec, "runtimeClassName");
	if (runtime_class != NULL && !matches_any(&input->config->runtime_classes, runtime_class))
		return REASON_RUNTIME_CLASS;
	if (options_shim_off(input->pod, plan->rule))
		return REASON_SHIM_OFF;
	return REASON_APPLIED;
}

static bool is_localhost_profile(const json *security_context, const char *profile)
{
	return json_string_is(json_find(security_context, profile, "type", NULL), "Localhost");
}

/* A profile from the node's files may deny, or kill at, what the shim does. */
static bool has_localhost_profile(const json *pod, const json *container)
{
	static const char *const profiles[] = {"seccompProfile", "appArmorProfile"};
	const json *pod_context = json_find(pod, "spec", "securityContext", NULL);
	const json *own_context = json_get(container, "securityContext");
	for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++)
		if (is_localhost_profile(own_context, profiles[i]) ||
		    (json_get(own_context, profiles[i]) == NULL &&
		     is_localhost_profile(pod_context, profiles[i])))
			return true;

	/* AppArmor before Kubernetes 1.30. */
	static const char old_key[] = "container.apparmor.security.beta.kubernetes.io/";
	const json *annotations = json_find(pod, "metadata", "annotations", NULL);
	for (const json *n = json_first(annotations); n != NULL; n = json_next(n)) {
		const char *value = json_string(n);
		if (strncmp(json_key(n), old_key, sizeof old_key - 1) == 0 &&
		    json_string_is(json_get(container, "name"), json_key(n) + sizeof old_key - 1) &&
		    value != NULL && strncmp(value, "localhost/", 10) == 0)
			return true;
	}
	return false;
}

static bool append_escaped(struct arena *arena, struct strings *list, const struct strings *more)
{
	for (size_t i = 0; i < more->count; i++) {
		const char *escaped = kubelet_literal(arena, more->items[i]);
		if (escaped == NULL)
			return false;
		list->items[list->count++] = escaped;
	}
	return true;
}

static const struct image_command *find_image(const struct config *config, const char *image)
{
	for (size_t i = 0; image != NULL && i < config->image_count; i++)
		if (glob_match(config->images[i].image, image))
			return &config->images[i];
	return NULL;
}

/* The command of a container that names none: the annotation's, or that of its image. */
static bool unnamed_command(const struct policy_input *input, struct arena *arena,
                            struct plan *plan, bool only_one, const json *container,
                            struct strings *ret_command)
{
	struct strings entrypoint = {0};
	struct strings cmd = {0};
	if (!only_one && pod_annotation(input->pod, KEY_PREFIX "command") != NULL)
		plan_warn(arena, plan,
		          "lastword: annotation lastword.dev/command ignored: more than one agent "
		          "container names no command");
	if (!only_one || !options_command(arena, input->pod, plan, &entrypoint)) {
		const struct image_command *image =
		        find_image(input->config, json_get_string(container, "image"));
		if (image == NULL)
			return false;
		entrypoint = image->entrypoint;
		if (json_size(json_get(container, "args")) == 0)
			cmd = image->cmd;
	}

	struct strings command = {.items = arena_allocate(arena, (entrypoint.count + cmd.count +
	                                                          1) * sizeof(char *))};
	if (command.items == NULL || !append_escaped(arena, &command, &entrypoint) ||
	    !append_escaped(arena, &command, &cmd) || command.count == 0)
		return false;
	*ret_command = command;
	return true;
}

static bool named_command(struct arena *arena, const json *command, struct strings *ret_command)
{
	struct strings list = {.items = arena_allocate(arena, json_size(command) * sizeof(char *))};
	if (list.items == NULL || !is_string_array(command))
		return false;
	for (const json *n = json_first(command); n != NULL; n = json_next(n))
		list.items[list.count++] = json_string(n);
	*ret_command = list;
	return true;
}

static bool names_no_command(const json *container)
{
	return json_size(json_get(container, "command")) == 0;
}

struct wrapping {
	const struct policy_input *input;
	struct arena *arena;
	struct plan *plan;
	enum reason obstacle; /* of the whole pod */
	bool only_one;        /* at most one agent container names no command */
	const json *watchdog; /* that is there already, or NULL */
};

/* A watchdog that is there serves only the containers that its flags name. */
static bool watchdog_knows(const json *watchdog, const char *name)
{
	const json *command = json_get(watchdog, "command");
	for (const json *n = json_first(command); n != NULL; n = json_next(n)) {
		const char *value =
		        json_string_is(n, "--container") ? json_string(json_next(n)) : NULL;
		size_t length = value == NULL ? 0 : strcspn(value, "=");
		if (length > 0 && strlen(name) == length && strncmp(name, value, length) == 0)
			return true;
	}
	return false;
}

static enum reason decide_command(const struct wrapping *wrapping, const json *container,
                                  struct strings *ret_command)
{
	if (wrapping->obstacle != REASON_APPLIED)
		return wrapping->obstacle;
	if (container_is_wrapped(container))
		return REASON_ALREADY;
	if (json_is_true(json_get(container, "tty")))
		return REASON_TTY;
	if (has_localhost_profile(wrapping->input->pod, container))
		return REASON_SECURITY_PROFILE;
	if (container_mount_is_taken(container))
		return REASON_MOUNT_TAKEN;
	if (!wrapping->plan->native && json_size(json_get(container, "restartPolicyRules")) > 0)
		return REASON_RESTART_RULES;
	if (wrapping->watchdog != NULL &&
	    !watchdog_knows(wrapping->watchdog, json_get_string(container, "name")))
		return REASON_WATCHDOG_PRESENT;

	struct strings command;
	bool known =
	        names_no_command(container)
	                ? unnamed_command(wrapping->input, wrapping->arena, wrapping->plan,
	                                  wrapping->only_one, container, &command)
	                : named_command(wrapping->arena, json_get(container, "command"), &command);
	if (!known)
		return REASON_NO_COMMAND;
	if (matches_any(&wrapping->input->config->init_systems, command.items[0]))
		return REASON_INIT_SYSTEM;
	*ret_command = command;
	return REASON_APPLIED;
}

static bool is_wrapped(const struct container_plan *container)
{
	return container->parts[PART_COMMAND] == REASON_APPLIED ||
	       container->parts[PART_COMMAND] == REASON_ALREADY;
}

static enum reason decide_pre_stop(const struct container_plan *plan)
{
	if (container_has_flush(plan->container))
		return REASON_ALREADY;
	if (!is_wrapped(plan))
		return REASON_NOT_WRAPPED;
	const json *hook = json_find(plan->container, "lifecycle", "preStop", NULL);
	const json *command = json_find(hook, "exec", "command", NULL);
	if (hook != NULL && !json_is_null(hook) && !is_string_array(command))
		return REASON_OTHER_HANDLER;
	return REASON_APPLIED;
}

static enum reason decide_termination_message(const struct rule *rule, const json *container)
{
	if (json_string_is(json_get(container, "terminationMessagePolicy"),
	                   "FallbackToLogsOnError"))
		return REASON_ALREADY;
	return rule->keep_termination_message_policy ? REASON_KEPT_BY_RULE : REASON_APPLIED;
}

static void decide_container(const struct wrapping *wrapping, struct container_plan *plan)
{
	const json *container = plan->container;
	const struct rule *rule = wrapping->plan->rule;
	plan->parts[PART_TERMINATION_MESSAGE_POLICY] = decide_termination_message(rule, container);
	plan->parts[PART_RESOURCES] =
	        decide_resources(wrapping->input->pod, rule, container, &plan->fill);
	plan->parts[PART_COMMAND] = decide_command(wrapping, container, &plan->command);
	plan->parts[PART_PRE_STOP] = decide_pre_stop(plan);
	plan->restart_policy = json_get_string(container, "restartPolicy");
}

/* ---- The pod's share ---- */

static bool is_native(const struct policy_input *input)
{
	switch (input->config->sidecar.mode) {
	case SIDECAR_CLASSIC:
		return false;
	case SIDECAR_NATIVE:
		/* An older server would drop restartPolicy and leave an init container that never
		 * ends. */
		return input->server_minor == 0 || input->server_minor >= MINOR_NATIVE_POSSIBLE;
	case SIDECAR_AUTO:
		break;
	}
	return input->server_minor >= MINOR_NATIVE_SAFE;
}

/* The sidecar's mode; one that is there already has decided. */
static bool plan_is_native(const struct policy_input *input)
{
	if (pod_container(input->pod, NAME_WATCHDOG, NULL) != NULL)
		return false;
	return pod_init_container(input->pod, NAME_WATCHDOG) != NULL || is_native(input);
}

static bool all_have_limit(const struct plan *plan, const json *pod, size_t resource)
{
	const json *containers = json_find(pod, "spec", "containers", NULL);
	for (const json *c = json_first(containers); c != NULL; c = json_next(c)) {
		bool has =
		        is_given(c, "limits", resource_names[resource]) || container_is_watchdog(c);
		for (size_t i = 0; !has && i < plan->container_count; i++)
			has = plan->containers[i].container == c &&
			      plan->containers[i].fill.limits[resource] != NULL;
		if (!has)
			return false;
	}
	return true;
}

/*
 * Guaranteed pods stay so: requests equal to limits. Else requests only, and a limit where every
 * container has one: a quota on limits then asks for ours too, and none else needs it.
 */
static struct resources decide_sidecar_resources(const struct config *config, const json *pod,
                                                 const struct plan *plan)
{
	struct resources resources = config->sidecar.resources;
	if (json_find(pod, "spec", "resources", NULL) != NULL)
		return resources;
	if (pod_is_guaranteed(pod)) {
		for (size_t i = 0; i < RESOURCE_COUNT; i++)
			resources.requests[i] = resources.limits[i];
		return resources;
	}
	for (size_t i = 0; i < RESOURCE_COUNT; i++)
		if (!all_have_limit(plan, pod, i))
			resources.limits[i] = NULL;
	return resources;
}

static bool add_quantity(struct quantity *sum, const char *text)
{
	struct quantity value;
	return text == NULL || (quantity_parse(text, &value, NULL) && quantity_add(sum, &value));
}

/* The sum of what all containers request, those that live beside each other; ours is more. */
static bool sum_requests(const json *pod, const char *name, struct quantity *sum)
{
	static const char *const lists[] = {"initContainers", "containers"};
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		const json *list = json_find(pod, "spec", lists[i], NULL);
		for (const json *c = json_first(list); c != NULL; c = json_next(c)) {
			bool counts =
			        i == 1 || json_string_is(json_get(c, "restartPolicy"), "Always");
			if (counts && !add_quantity(sum, quantity_text(c, "requests", name)))
				return false;
		}
	}
	return true;
}

/* The quantity, ours, is within that of the pod. */
static bool is_within(const struct quantity *ours, const char *pods)
{
	struct quantity most;
	return quantity_parse(pods, &most, NULL) && quantity_compare(ours, &most) <= 0;
}

/* Requests are validated as a sum, limits each for itself (validatePodResourceConsistency() in
 * k8s.io/kubernetes/pkg/apis/core/validation). A request that is missing becomes the limit. */
static bool sidecar_fits(const json *pod, const struct resources *resources)
{
	const json *whole = json_get(pod, "spec");
	for (size_t i = 0; i < RESOURCE_COUNT; i++) {
		const char *name = resource_names[i];
		const char *limit = quantity_text(whole, "limits", name);
		const char *request = quantity_text(whole, "requests", name);
		struct quantity sum;
		struct quantity own;
		if (request == NULL)
			request = limit;
		if (!quantity_parse("0", &sum, NULL) || !add_quantity(&sum, resources->requests[i]))
			return false;
		if (request != NULL &&
		    (!sum_requests(pod, name, &sum) || !is_within(&sum, request)))
			return false;
		if (limit != NULL && resources->limits[i] != NULL &&
		    (!quantity_parse(resources->limits[i], &own, NULL) || !is_within(&own, limit)))
			return false;
	}
	return true;
}

/* What the pod as a whole requests nothing of, no container of it may. */
static void drop_unrequested(const json *pod, struct resources *resources)
{
	for (size_t i = 0; i < RESOURCE_COUNT; i++)
		if (!is_given(json_get(pod, "spec"), "requests", resource_names[i]))
			resources->requests[i] = resources->limits[i] = NULL;
}

/* A uid and gid that no container of the pod has: the first from this one on; -1: none is near. */
static int64_t choose_user(int64_t first, const json *pod)
{
	uint64_t used = pod_used_ids(pod, first);
	for (int64_t user = first; user < first + 64 && user <= INT32_MAX; user++, used >>= 1)
		if ((used & 1) == 0)
			return user;
	return -1;
}

static void decide_sidecar(const struct policy_input *input, struct plan *plan)
{
	const json *pod = input->pod;
	const struct sidecar_config *sidecar = &input->config->sidecar;
	plan->add_watchdog = pod_container(pod, NAME_WATCHDOG, NULL) == NULL &&
	                     pod_init_container(pod, NAME_WATCHDOG) == NULL;
	plan->add_volume = pod_volume(pod, NAME_VOLUME) == NULL;
	plan->image_volume =
	        plan->add_volume
	                ? sidecar->shim == SHIM_IMAGE && input->server_minor >= MINOR_IMAGE_VOLUME
	                : json_get(pod_volume(pod, NAME_VOLUME), "image") != NULL;
	plan->add_install = !plan->native && !plan->image_volume &&
	                    pod_init_container(pod, NAME_INSTALL) == NULL;
	plan->user = sidecar->user < 0 ? -1 : choose_user(sidecar->user, pod);
	plan->grace_seconds = pod_grace_seconds(pod);
	plan->restart_policy = pod_restart_policy(pod);
	const json *owner = pod_controller(pod);
	plan->owner_kind = json_get_string(owner, "kind");
	plan->owner_name = json_get_string(owner, "name");
	plan->sidecar_resources = decide_sidecar_resources(input->config, pod, plan);
}

/* Why the sidecar cannot be there. */
static enum reason sidecar_obstacle(const struct policy_input *input, struct plan *plan)
{
	if (!plan->add_watchdog)
		return REASON_APPLIED;
	if (plan->user < 0 && input->config->sidecar.user >= 0)
		return REASON_TOO_LARGE;
	if (json_find(input->pod, "spec", "resources", NULL) == NULL)
		return REASON_APPLIED;
	if (!sidecar_fits(input->pod, &plan->sidecar_resources))
		return REASON_POD_RESOURCES;
	drop_unrequested(input->pod, &plan->sidecar_resources);
	return REASON_APPLIED;
}

/* Undoes the wrapping: the sidecar cannot be there. */
static void unwrap_all(struct plan *plan, enum reason reason)
{
	for (size_t i = 0; i < plan->container_count; i++) {
		struct container_plan *container = &plan->containers[i];
		if (container->parts[PART_COMMAND] == REASON_APPLIED)
			container->parts[PART_COMMAND] = reason;
		if (container->parts[PART_PRE_STOP] == REASON_APPLIED)
			container->parts[PART_PRE_STOP] = REASON_NOT_WRAPPED;
	}
}

static bool any_wrapped(const struct plan *plan)
{
	for (size_t i = 0; i < plan->container_count; i++)
		if (is_wrapped(&plan->containers[i]))
			return true;
	return false;
}

static void decide_mounts(struct plan *plan)
{
	for (size_t i = 0; i < plan->container_count; i++) {
		struct container_plan *container = &plan->containers[i];
		container->add_mount = is_wrapped(container) &&
		                       !container_has_mount(container->container) &&
		                       !container_mount_is_taken(container->container);
	}
}

/* ---- The whole ---- */

static bool find_agents(const struct policy_input *input, struct arena *arena, struct plan *plan)
{
	size_t capacity = json_size(json_find(input->pod, "spec", "containers", NULL));
	const json **agents = arena_allocate(arena, capacity * sizeof *agents);
	plan->containers = arena_allocate(arena, capacity * sizeof *plan->containers);
	if (agents == NULL || plan->containers == NULL)
		return false;

	const char *missing;
	plan->container_count =
	        select_agents(input->config, plan->rule, input->pod, agents, capacity, &missing);
	if (missing != NULL)
		plan_warn(arena, plan,
		          "lastword: annotation lastword.dev/containers: the pod has no container "
		          "\"%.*s\"",
		          (int)strcspn(missing, ", \t"), missing);
	for (size_t i = 0; i < plan->container_count; i++) {
		struct container_plan *container = &plan->containers[i];
		container->container = agents[i];
		container->name = json_get_string(agents[i], "name");
		pod_container(input->pod, container->name, &container->index);
	}
	return true;
}

static size_t count_without_command(const struct plan *plan)
{
	size_t count = 0;
	for (size_t i = 0; i < plan->container_count; i++)
		count += names_no_command(plan->containers[i].container);
	return count;
}

static bool decide_pod(const struct policy_input *input, struct arena *arena, struct plan *plan)
{
	const json *pod = input->pod;
	plan->native = plan_is_native(input);
	const json *watchdog = pod_container(pod, NAME_WATCHDOG, NULL);
	struct wrapping wrapping = {
	        .input = input,
	        .arena = arena,
	        .plan = plan,
	        .obstacle = pod_wrap_obstacle(input, plan),
	        .only_one = count_without_command(plan) <= 1,
	        .watchdog = watchdog != NULL ? watchdog : pod_init_container(pod, NAME_WATCHDOG),
	};
	for (size_t i = 0; i < plan->container_count; i++)
		decide_container(&wrapping, &plan->containers[i]);

	decide_sidecar(input, plan);
	enum reason obstacle = sidecar_obstacle(input, plan);
	if (obstacle != REASON_APPLIED)
		unwrap_all(plan, obstacle);
	plan->watchdog = obstacle == REASON_APPLIED && any_wrapped(plan);
	if (plan->watchdog)
		decide_mounts(plan);
	return !plan->watchdog ||
	       options_context(arena, input->config, pod, plan->containers[0].container, plan);
}

bool policy_decide(const struct policy_input *input, struct arena *arena, struct plan *ret_plan)
{
	struct plan plan = {.user = -1};
	plan.rule = select_rule(input->config, input->namespace, input->pod);
	plan.reason = pod_skip_reason(input, plan.rule);
	if (plan.reason == REASON_APPLIED) {
		options_read(arena, input->pod, &plan);
		if (!find_agents(input, arena, &plan))
			return false;
		if (plan.container_count == 0)
			plan.reason = REASON_NO_AGENT;
		else if (!decide_pod(input, arena, &plan))
			return false;
	}
	warn_of_skip(arena, &plan);
	*ret_plan = plan;
	return true;
}
