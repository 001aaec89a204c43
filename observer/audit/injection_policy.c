#include "observer/audit/injection_policy.h"

#include "lib/base/clock.h"
#include "lib/kube/names.h"
#include "webhook/config.h"
#include "webhook/container_index.h"
#include "webhook/options.h"
#include "webhook/plan.h"
#include "webhook/select.h"

const char *uninjected_reason_name(enum uninjected_reason reason)
{
	static const char *const names[UNINJECTED_REASON_COUNT] = {
	        [UNINJECTED_NOT] = "",
	        [UNINJECTED_UNKNOWN] = "not-injected",
	        [UNINJECTED_CREATED_BEFORE] = "created-before",
	        [UNINJECTED_LABEL_REMOVED] = "label-removed",
	        [UNINJECTED_MIRROR_POD] = "mirror-pod",
	};
	return names[reason];
}

/* ---- The configuration ---- */

bool injection_policy_load(struct injection_policy *policy, const char *path, struct error *error)
{
	*policy = (struct injection_policy){.file = {.path = path}};
	watched_file_changed(&policy->file);
	return config_load(path, &policy->config, error);
}

void injection_policy_free(struct injection_policy *policy)
{
	config_free(policy->config);
	*policy = (struct injection_policy){.config = NULL};
}

bool injection_policy_reload(struct injection_policy *policy, bool *ret_refused,
                             struct error *error)
{
	struct config *config;
	*ret_refused = false;
	if (policy->file.path == NULL || !watched_file_changed(&policy->file))
		return false;
	if (!config_load(policy->file.path, &config, error)) {
		*ret_refused = true;
		return false;
	}
	config_free(policy->config);
	policy->config = config;
	return true;
}

/* ---- A pod ---- */

static bool set_agents(const struct injection_policy *policy, struct arena *arena,
                       const struct rule *rule, struct pod *pod)
{
	struct container_index index;
	const char *missing;
	if (!container_index_init(&index, arena, pod->object))
		return false;
	bool *marks = arena_allocate(arena, index.count * sizeof *marks + 1);
	if (marks == NULL)
		return false;
	select_agents(arena, policy->config, rule, pod->object, &index, marks, &missing);
	pod->agent_count = 0;
	for (size_t i = 0; i < index.count; i++)
		if (marks[i])
			pod_add_agent(pod, json_get_string(index.containers[i], "name"));
	return pod->agent_count > 0;
}

static bool set_context(const struct injection_policy *policy, struct arena *arena, struct pod *pod)
{
	struct plan plan = {.reason = REASON_APPLIED};
	const struct config *config = policy->config;
	if (!options_context(arena, config, pod->object, pod->agents[0].spec, &plan))
		return false;
	pod->context_count = 0;
	for (size_t i = 0; i < plan.context_count && i < POD_CONTEXT_MAX; i++)
		pod->context[pod->context_count++] =
		        (struct pod_context){plan.context[i].name, plan.context[i].value};
	pod->pattern_count = 0;
	for (size_t i = 0; i < config->redact.count && i < POD_PATTERNS_MAX; i++)
		pod->patterns[pod->pattern_count++] = config->redact.items[i];
	pod->rule_count = 0;
	for (size_t i = 0; i < config->diagnosis_rules.count && i < POD_RULES_MAX; i++)
		pod->rules[pod->rule_count++] = config->diagnosis_rules.items[i];
	return true;
}

static enum uninjected_reason reason_of(const struct pod *pod, int64_t opted_in_at)
{
	const json *metadata = json_get(pod->object, "metadata");
	int64_t created_at = pod_time(metadata, "creationTimestamp");
	if (json_find(metadata, "annotations", KEY_MIRROR, NULL) != NULL)
		return UNINJECTED_MIRROR_POD;
	if (created_at != 0 && created_at < opted_in_at - opted_in_at % SECOND)
		return UNINJECTED_CREATED_BEFORE;
	return UNINJECTED_UNKNOWN;
}

enum uninjected_reason injection_policy_apply(const struct injection_policy *policy,
                                              struct arena *arena, struct pod *pod,
                                              struct opt_in namespace)
{
	/* What it was injected with says more than any rule. */
	if (pod->watchdog)
		return UNINJECTED_LABEL_REMOVED;
	if (policy->config == NULL || !namespace.opted_in)
		return UNINJECTED_NOT;
	const struct rule *rule = select_rule(policy->config, pod->namespace, pod->object);
	if (rule == NULL || rule->shadow || options_opted_out(pod->object) ||
	    !set_agents(policy, arena, rule, pod) || !set_context(policy, arena, pod))
		return UNINJECTED_NOT;
	return reason_of(pod, namespace.since);
}

static size_t add_amounts(const struct resources *resources, size_t count,
                          struct sidecar_amount ret_amounts[SIDECAR_AMOUNTS_MAX])
{
	for (size_t i = 0; i < RESOURCE_COUNT && count < SIDECAR_AMOUNTS_MAX; i++)
		if (resources->requests[i] != NULL || resources->limits[i] != NULL)
			ret_amounts[count++] = (struct sidecar_amount){
			        resource_names[i], resources->requests[i], resources->limits[i]};
	return count;
}

size_t injection_policy_sidecar_amounts(const struct injection_policy *policy,
                                        struct sidecar_amount ret_amounts[SIDECAR_AMOUNTS_MAX])
{
	const struct config *config = policy->config;
	if (config == NULL)
		return 0;
	size_t count = add_amounts(&config->sidecar.resources, 0, ret_amounts);
	for (size_t i = 0; i < config->rule_count; i++)
		if (config->rules[i].has_sidecar_resources)
			count = add_amounts(&config->rules[i].sidecar_resources, count,
			                    ret_amounts);
	return count;
}
