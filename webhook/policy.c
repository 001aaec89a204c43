#include "webhook/policy.h"

#include <string.h>

#include "lib/kube/names.h"
#include "webhook/breaker_table.h"
#include "webhook/command.h"
#include "webhook/options.h"
#include "webhook/pod.h"
#include "webhook/resources.h"
#include "webhook/patterns.h"
#include "webhook/select.h"

/* Kubernetes 1.32: every supported kubelet is then at least 1.29, the first with native sidecars
 * on by default. 1.35: image volumes are on by default. */
#define MINOR_NATIVE_SAFE     32
#define MINOR_NATIVE_POSSIBLE 29
#define MINOR_IMAGE_VOLUME    35

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
			if (json_size(json_get(c, "volumeMounts")) +
			            json_size(json_get(c, "volumeDevices")) >
			    POLICY_MOUNTS_MAX)
				return true;
	}
	return containers > POLICY_CONTAINERS_MAX ||
	       list_is_large(json_get(spec, "volumes"), POLICY_VOLUMES_MAX);
}

/* Every member that the webhook reads has the type that Kubernetes documents. */
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
	const char *name = json_get_string(container, "name");
	if (name == NULL || strlen(name) > CONTAINER_NAME_MAX)
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

/* What the pod has under our names; NULL: nothing. */
struct our_parts {
	const json *watchdog;
	bool watchdog_is_native; /* an init container */
	const json *install;
	const json *volume;
};

static struct our_parts find_our_parts(const json *pod)
{
	struct our_parts parts = {
	        .watchdog = pod_container(pod, NAME_WATCHDOG, NULL),
	        .install = pod_init_container(pod, NAME_INSTALL),
	        .volume = pod_volume(pod, NAME_VOLUME),
	};
	if (parts.watchdog == NULL) {
		parts.watchdog = pod_init_container(pod, NAME_WATCHDOG);
		parts.watchdog_is_native = parts.watchdog != NULL;
	}
	return parts;
}

/* Something that is not ours has one of our names. */
static enum reason find_collision(const json *pod, const char *image)
{
	struct our_parts parts = find_our_parts(pod);
	if (parts.watchdog != NULL && !container_is_watchdog(parts.watchdog))
		return REASON_NAME_TAKEN;
	if (pod_container(pod, NAME_INSTALL, NULL) != NULL ||
	    (parts.install != NULL && !container_is_install(parts.install)))
		return REASON_NAME_TAKEN;
	if (parts.volume != NULL && !volume_is_ours(parts.volume, image))
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

/* These reasons are worth a warning to whoever creates the pod; the others are as intended. */
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

static enum reason decide_pre_stop(const struct container_plan *plan)
{
	if (container_has_flush(plan->container))
		return REASON_ALREADY;
	if (!container_plan_is_wrapped(plan))
		return REASON_NOT_WRAPPED;
	const json *hook = json_get_in(plan->container, "lifecycle", "preStop");
	const json *command = json_get_in(hook, "exec", "command");
	if (hook != NULL && !json_is_null(hook) && !is_string_array(command))
		return REASON_OTHER_HANDLER;
	return REASON_APPLIED;
}

static enum reason decide_termination_message(const struct config *config, const struct rule *rule,
                                              const json *container)
{
	if (json_string_is(json_get(container, "terminationMessagePolicy"),
	                   "FallbackToLogsOnError"))
		return REASON_ALREADY;
	if (rule->keep_termination_message_policy)
		return REASON_KEPT_BY_RULE;
	const char *path = json_get_string(container, "terminationMessagePath");
	return path != NULL && matches_any(&config->parsed_messages, path) ? REASON_MESSAGE_PARSED
	                                                                   : REASON_APPLIED;
}

static void decide_container(const struct wrapping *wrapping, struct container_plan *plan)
{
	const json *container = plan->container;
	const struct rule *rule = wrapping->plan->rule;
	plan->parts[PART_TERMINATION_MESSAGE_POLICY] =
	        decide_termination_message(wrapping->input->config, rule, container);
	plan->parts[PART_RESOURCES] =
	        resources_fill(wrapping->input->pod, rule, container, &plan->fill);
	plan->parts[PART_COMMAND] =
	        command_decide(wrapping, container, plan->index, &plan->command);
	plan->parts[PART_PRE_STOP] = decide_pre_stop(plan);
	plan->restart_policy = json_get_string(container, "restartPolicy");
}

/* ---- The pod as a whole ---- */

static bool is_native(const struct policy_input *input)
{
	switch (input->config->sidecar.mode) {
	case SIDECAR_CLASSIC:
		return false;
	case SIDECAR_NATIVE:
		/* An older server would drop restartPolicy, and the init container would never end.
		 */
		return input->server_minor == 0 || input->server_minor >= MINOR_NATIVE_POSSIBLE;
	case SIDECAR_AUTO:
		break;
	}
	return input->server_minor >= MINOR_NATIVE_SAFE;
}

/* Whether the sidecar is native; a sidecar that is already in the pod keeps its mode. */
static bool plan_is_native(const struct policy_input *input, const struct our_parts *parts)
{
	return parts->watchdog == NULL ? is_native(input) : parts->watchdog_is_native;
}

/* The first uid and gid from this one on that no container of the pod has; -1: the next 64 are
 * used. */
static int64_t choose_user(int64_t first, const json *pod)
{
	uint64_t used = pod_used_ids(pod, first);
	for (int64_t user = first; user < first + 64 && user <= INT32_MAX; user++, used >>= 1)
		if ((used & 1) == 0)
			return user;
	return -1;
}

static void decide_sidecar(const struct policy_input *input, const struct our_parts *parts,
                           struct plan *plan)
{
	const json *pod = input->pod;
	const struct sidecar_config *sidecar = &input->config->sidecar;
	plan->add_watchdog = parts->watchdog == NULL;
	plan->add_volume = parts->volume == NULL;
	plan->image_volume = plan->add_volume ? sidecar->shim == SHIM_IMAGE &&
	                                                input->server_minor >= MINOR_IMAGE_VOLUME
	                                      : json_get(parts->volume, "image") != NULL;
	plan->add_install = !plan->native && !plan->image_volume && parts->install == NULL;
	plan->user_of_scc = sidecar->user_auto && pod_annotation(pod, KEY_SCC) != NULL;
	plan->user = sidecar->user < 0 || plan->user_of_scc ? -1 : choose_user(sidecar->user, pod);
	plan->grace_seconds = pod_grace_seconds(pod);
	plan->restart_policy = pod_restart_policy(pod);
	const json *owner = pod_controller(pod);
	plan->owner_kind = json_get_string(owner, "kind");
	plan->owner_name = json_get_string(owner, "name");
	plan->sidecar_resources = resources_of_sidecar(input->config, pod, plan);
}

/* Why the sidecar cannot be added. */
static enum reason sidecar_obstacle(const struct policy_input *input, struct plan *plan)
{
	if (!plan->add_watchdog)
		return REASON_APPLIED;
	if (plan->user < 0 && !plan->user_of_scc && input->config->sidecar.user >= 0)
		return REASON_TOO_LARGE;
	if (json_get_in(input->pod, "spec", "resources") == NULL)
		return REASON_APPLIED;
	if (!resources_fit(input->pod, &plan->sidecar_resources))
		return REASON_POD_RESOURCES;
	resources_drop_unrequested(input->pod, &plan->sidecar_resources);
	return REASON_APPLIED;
}

/* Undoes the wrapping, since the sidecar cannot be added. */
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
		if (container_plan_is_wrapped(&plan->containers[i]))
			return true;
	return false;
}

/* A container would be wrapped that was not. */
static bool any_newly_wrapped(const struct plan *plan)
{
	for (size_t i = 0; i < plan->container_count; i++)
		if (plan->containers[i].parts[PART_COMMAND] == REASON_APPLIED)
			return true;
	return false;
}

/* Asked last, of a pod that would be wrapped: a half-open breaker lets only one through. */
static enum reason breaker_obstacle(const struct policy_input *input, struct plan *plan)
{
	if (input->breaker == NULL || plan->rule->shadow || !any_newly_wrapped(plan))
		return REASON_APPLIED;
	return breaker_table_decide(input->breaker, input->namespace, input->dry_run,
	                            &plan->trial) == BREAKER_SKIP
	               ? REASON_BREAKER
	               : REASON_APPLIED;
}

static void decide_mounts(struct plan *plan)
{
	for (size_t i = 0; i < plan->container_count; i++) {
		struct container_plan *container = &plan->containers[i];
		container->add_mount = container_plan_is_wrapped(container) &&
		                       !container_has_mount(container->container) &&
		                       !container_mount_is_taken(container->container);
	}
}

/* ---- Deciding ---- */

static bool find_agents(const struct policy_input *input, const struct container_index *index,
                        struct arena *arena, struct plan *plan)
{
	bool *marks = arena_allocate(arena, index->count * sizeof *marks);
	if (marks == NULL)
		return false;
	const char *missing;
	size_t count =
	        select_agents(arena, input->config, plan->rule, input->pod, index, marks, &missing);
	if (missing != NULL)
		plan_warn(arena, plan,
		          "lastword: annotation lastword.dev/containers: the pod has no container "
		          "\"%.*s\"",
		          (int)strcspn(missing, ", \t"), missing);
	plan->containers = arena_allocate(arena, count * sizeof *plan->containers);
	if (plan->containers == NULL)
		return false;
	for (size_t i = 0; i < index->count && plan->container_count < count; i++) {
		if (!marks[i])
			continue;
		struct container_plan *container = &plan->containers[plan->container_count++];
		container->container = index->containers[i];
		container->index = i;
		container->name = json_get_string(container->container, "name");
	}
	return true;
}

static size_t count_without_command(const struct plan *plan)
{
	size_t count = 0;
	for (size_t i = 0; i < plan->container_count; i++)
		count += command_is_missing(plan->containers[i].container);
	return count;
}

static bool decide_pod(const struct policy_input *input, const struct container_index *index,
                       struct arena *arena, struct plan *plan)
{
	const json *pod = input->pod;
	struct our_parts parts = find_our_parts(pod);
	plan->native = plan_is_native(input, &parts);
	struct wrapping wrapping = {
	        .input = input,
	        .arena = arena,
	        .plan = plan,
	        .index = index,
	        .watchdog = parts.watchdog,
	        .only_one = count_without_command(plan) <= 1,
	};
	if (!command_prepare(&wrapping))
		return false;
	for (size_t i = 0; i < plan->container_count; i++)
		decide_container(&wrapping, &plan->containers[i]);

	decide_sidecar(input, &parts, plan);
	enum reason obstacle = sidecar_obstacle(input, plan);
	if (obstacle != REASON_APPLIED)
		unwrap_all(plan, obstacle);
	enum reason breaker = breaker_obstacle(input, plan);
	if (breaker != REASON_APPLIED)
		unwrap_all(plan, breaker);
	plan->watchdog = obstacle == REASON_APPLIED && any_wrapped(plan);
	if (plan->watchdog)
		decide_mounts(plan);
	return !plan->watchdog ||
	       options_context(arena, input->config, pod, plan->containers[0].container, plan);
}

bool policy_decide(const struct policy_input *input, struct arena *arena, struct plan *ret_plan)
{
	struct container_index index;
	struct plan plan = {.user = -1};
	plan.rule = select_rule(input->config, input->namespace, input->pod);
	plan.reason = pod_skip_reason(input, plan.rule);
	if (plan.reason == REASON_APPLIED) {
		options_read(arena, input->pod, &plan);
		if (!container_index_init(&index, arena, input->pod) ||
		    !find_agents(input, &index, arena, &plan))
			return false;
		if (plan.container_count == 0)
			plan.reason = REASON_NO_AGENT;
		else if (plan.container_count > POLICY_AGENTS_MAX)
			plan.reason = REASON_TOO_LARGE;
		else if (!decide_pod(input, &index, arena, &plan))
			return false;
	}
	warn_of_skip(arena, &plan);
	*ret_plan = plan;
	return true;
}
