#include "webhook/select.h"

#include <string.h>

#include "lib/kube/names.h"
#include "webhook/argo_pod.h"
#include "webhook/patterns.h"
#include "webhook/pod.h"

static bool listed(const struct strings *values, const char *text)
{
	for (size_t i = 0; i < values->count; i++)
		if (strcmp(values->items[i], text) == 0)
			return true;
	return false;
}

static bool expression_matches(const struct selector_expression *expression, const json *pod)
{
	const char *value = pod_label(pod, expression->key);
	switch (expression->operator) {
	case SELECTOR_IN:
		return value != NULL && listed(&expression->values, value);
	case SELECTOR_NOT_IN:
		return value == NULL || !listed(&expression->values, value);
	case SELECTOR_EXISTS:
		return value != NULL;
	case SELECTOR_NOT_EXISTS:
		return value == NULL;
	}
	return false;
}

static bool rule_matches(const struct rule *rule, const char *namespace, const json *pod)
{
	if (rule->namespaces.count > 0 && !matches_any(&rule->namespaces, namespace))
		return false;
	for (size_t i = 0; i < rule->selector_count; i++)
		if (!expression_matches(&rule->selector[i], pod))
			return false;
	return true;
}

const struct rule *select_rule(const struct config *config, const char *namespace, const json *pod)
{
	for (size_t i = 0; i < config->rule_count; i++)
		if (rule_matches(&config->rules[i], namespace, pod))
			return &config->rules[i];
	return NULL;
}

/* ---- Agents: a mark for each container, set from one source after the other ---- */

struct picked {
	struct arena *arena;
	const json *pod;
	const struct container_index *index;
	bool *marks;
	size_t count;
};

static bool mark(struct picked *picked, size_t position)
{
	const json *container = picked->index->containers[position];
	if (json_get_string(container, "name") == NULL || container_is_watchdog(container))
		return false;
	picked->count += !picked->marks[position];
	picked->marks[position] = true;
	return true;
}

static bool pick(struct picked *picked, const char *name, size_t length)
{
	size_t position;
	return container_index_find(picked->index, name, length, &position) &&
	       mark(picked, position);
}

/* Picks the names of a comma-separated list; the first that is not there goes to *ret_missing. */
static void pick_list(struct picked *picked, const char *list, const char **ret_missing)
{
	for (;;) {
		list += strspn(list, ", \t");
		size_t length = strcspn(list, ", \t");
		if (length == 0 || json_work_left() == 0)
			return;
		if (!pick(picked, list, length) && *ret_missing == NULL)
			*ret_missing = list;
		list += length;
	}
}

/* Picks every container whose name matches (or, wanted false, does not match) a pattern. */
static void pick_matching(struct picked *picked, const struct strings *patterns, bool wanted)
{
	for (size_t i = 0; i < picked->index->count; i++) {
		const char *name = json_get_string(picked->index->containers[i], "name");
		if (name != NULL && matches_any(patterns, name) == wanted)
			mark(picked, i);
	}
}

/* A pod's only container is no sidecar, whatever its name. */
static void pick_only_one(struct picked *picked)
{
	size_t only = 0;
	size_t count = 0;
	for (size_t i = 0; i < picked->index->count; i++) {
		if (container_is_watchdog(picked->index->containers[i]))
			continue;
		only = i;
		count++;
	}
	if (count == 1)
		mark(picked, only);
}

/* A program has written which container is the default, not the pod's author. */
static bool default_container_is_automatic(const struct config *config, const json *pod)
{
	const struct strings *keys = &config->automatic_default_containers;
	for (size_t i = 0; i < keys->count; i++)
		if (pod_label(pod, keys->items[i]) != NULL ||
		    pod_annotation(pod, keys->items[i]) != NULL)
			return true;
	return false;
}

static void pick_by_source(struct picked *picked, const struct config *config,
                           const struct rule *rule, const char **ret_missing)
{
	const char *annotated = pod_annotation(picked->pod, KEY_PREFIX "containers");
	if (annotated != NULL)
		pick_list(picked, annotated, ret_missing);
	if (picked->count == 0)
		pick_matching(picked, &rule->names, true);
	if (picked->count > 0)
		return;

	const char *label = pod_label(picked->pod, KEY_CLI_CONTAINER);
	if (label != NULL && pick(picked, label, strlen(label)))
		return;
	picked->count = argo_pod_mark(picked->pod, picked->index, &config->known_sidecars,
	                              picked->arena, picked->marks);
	if (picked->count > 0)
		return;

	const char *const single[] = {
	        default_container_is_automatic(config, picked->pod)
	                ? NULL
	                : pod_annotation(picked->pod, KEY_DEFAULT_CONTAINER),
	        "main",
	};
	for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
		if (single[i] != NULL && pick(picked, single[i], strlen(single[i])))
			return;
	pick_matching(picked, &config->known_sidecars, false);
	if (picked->count == 0)
		pick_only_one(picked);
}

size_t select_agents(struct arena *arena, const struct config *config, const struct rule *rule,
                     const json *pod, const struct container_index *index, bool *ret_marks,
                     const char **ret_missing)
{
	struct picked picked = {.arena = arena, .pod = pod, .index = index, .marks = ret_marks};
	*ret_missing = NULL;
	memset(ret_marks, 0, index->count * sizeof *ret_marks);
	pick_by_source(&picked, config, rule, ret_missing);
	return picked.count;
}
