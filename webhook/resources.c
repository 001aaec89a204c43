#include "webhook/resources.h"

#include <string.h>

#include "lib/document/quantity.h"
#include "webhook/pod.h"

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
	return json_scalar_text(json_get(json_get_in(container, "resources", kind), name));
}

static bool is_given(const json *container, const char *kind, const char *name)
{
	const json *node = json_get(json_get_in(container, "resources", kind), name);
	return node != NULL && !json_is_null(node);
}

/* A limit without a request is a request too: Kubernetes copies it (defaults.go). So a request is
 * filled only where neither is given, and a limit is raised to the request. */
enum reason resources_fill(const json *pod, const struct rule *rule, const json *container,
                           struct resources *ret_fill)
{
	if (json_get_in(pod, "spec", "resources") != NULL)
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

/* The plan's containers are in the pod's order. */
static bool all_have_limit(const struct plan *plan, const json *pod, size_t resource)
{
	const json *containers = json_get_in(pod, "spec", "containers");
	size_t next = 0;
	for (const json *c = json_first(containers); c != NULL; c = json_next(c)) {
		bool filled = false;
		if (next < plan->container_count && plan->containers[next].container == c)
			filled = plan->containers[next++].fill.limits[resource] != NULL;
		if (!filled && !is_given(c, "limits", resource_names[resource]) &&
		    !container_is_watchdog(c))
			return false;
	}
	return true;
}

/* Zero counts as none; what cannot be read counts. */
static bool counts(const char *text)
{
	struct quantity value;
	return !quantity_parse(text, &value, NULL) || quantity_is_positive(&value);
}

static bool is_filled(const struct resources *fill)
{
	for (size_t i = 0; i <= RESOURCE_MEMORY; i++)
		if ((fill->requests[i] != NULL && counts(fill->requests[i])) ||
		    (fill->limits[i] != NULL && counts(fill->limits[i])))
			return true;
	return false;
}

static bool has_resource(const json *container, const char *kind, const char *name)
{
	const char *text = quantity_text(container, kind, name);
	return is_given(container, kind, name) && (text == NULL || counts(text));
}

/* As the kubelet has it (pkg/apis/core/v1/helper/qos): no container but ours has a request or limit
 * of CPU or memory. */
static bool is_best_effort(const struct plan *plan, const json *pod)
{
	static const char *const lists[] = {"initContainers", "containers"};
	static const char *const kinds[] = {"requests", "limits"};
	for (size_t i = 0; i < plan->container_count; i++)
		if (is_filled(&plan->containers[i].fill))
			return false;
	for (size_t list = 0; list < 2; list++) {
		const json *containers = json_get_in(pod, "spec", lists[list]);
		for (const json *c = json_first(containers); c != NULL; c = json_next(c))
			for (size_t i = 0; i < 2 * ((size_t)RESOURCE_MEMORY + 1); i++)
				if (has_resource(c, kinds[i % 2], resource_names[i / 2]) &&
				    !container_is_watchdog(c) && !container_is_install(c))
					return false;
	}
	return true;
}

/*
 * Guaranteed pods stay so: requests equal to limits. BestEffort pods stay so: nothing. Else
 * requests only, and a limit where every container has one: a quota on limits then asks for ours
 * too, and none else needs it.
 */
static struct resources keep_quality(const struct config *config, const json *pod,
                                     const struct plan *plan)
{
	struct resources resources = config->sidecar.resources;
	if (json_get_in(pod, "spec", "resources") != NULL)
		return resources;
	if (is_best_effort(plan, pod))
		return (struct resources){0};
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

static const char *wished(const char *wish, const char *otherwise)
{
	if (wish == NULL)
		return otherwise;
	return strcmp(wish, "none") == 0 ? NULL : wish;
}

/* A request and a limit that agree. What was wished for stays and the other one follows: a limit is
 * never below its request, and of a limit without a request Kubernetes makes the request too. */
static void align_pair(const char **request, const char **limit, bool request_wished,
                       bool limit_wished)
{
	if (*limit == NULL)
		return;
	if (*request == NULL && request_wished && !limit_wished)
		*limit = NULL;
	else if (*request == NULL ||
	         (limit_wished && !request_wished && larger(*limit, *request) != *limit))
		*request = *limit;
	else if (larger(*limit, *request) != *limit)
		*limit = *request;
}

struct resources resources_of_sidecar(const struct config *config, const json *pod,
                                      const struct plan *plan)
{
	const struct resources *wishes = &plan->sidecar_wishes;
	struct resources resources = plan->rule->has_sidecar_resources
	                                     ? plan->rule->sidecar_resources
	                                     : keep_quality(config, pod, plan);
	for (size_t i = 0; i < RESOURCE_COUNT; i++) {
		resources.requests[i] = wished(wishes->requests[i], resources.requests[i]);
		resources.limits[i] = wished(wishes->limits[i], resources.limits[i]);
		align_pair(&resources.requests[i], &resources.limits[i],
		           wishes->requests[i] != NULL, wishes->limits[i] != NULL);
	}
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
		const json *list = json_get_in(pod, "spec", lists[i]);
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
bool resources_fit(const json *pod, const struct resources *resources)
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
void resources_drop_unrequested(const json *pod, struct resources *resources)
{
	for (size_t i = 0; i < RESOURCE_COUNT; i++)
		if (!is_given(json_get(pod, "spec"), "requests", resource_names[i]))
			resources->requests[i] = resources->limits[i] = NULL;
}
