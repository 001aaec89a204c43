#include "webhook/select.h"

#include <string.h>

#include "lib/base/glob.h"
#include "lib/kube/names.h"
#include "webhook/pod.h"

bool matches_any(const struct strings *patterns, const char *text)
{
	return glob_match_any(patterns->items, patterns->count, text);
}

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

/* Names of an annotation that are looked at: more containers no pod of ours has. */
#define NAMES_MAX 200

/* ---- Agents: a set of indices, filled from one source after the other ---- */

struct picked {
	const json *pod;
	const json **containers;
	size_t capacity;
	size_t count;
};

static bool is_candidate(const json *container)
{
	return json_get_string(container, "name") != NULL && !container_is_watchdog(container);
}

static bool pick(struct picked *picked, const char *name)
{
	const json *container = pod_container(picked->pod, name, NULL);
	if (container == NULL || !is_candidate(container))
		return false;
	for (size_t i = 0; i < picked->count; i++)
		if (picked->containers[i] == container)
			return true;
	if (picked->count < picked->capacity)
		picked->containers[picked->count++] = container;
	return true;
}

/* Picks the names of a comma-separated list; the first that is not there goes to *ret_missing. */
static void pick_list(struct picked *picked, const char *list, const char **ret_missing)
{
	for (size_t names = 0; *list != '\0' && names < NAMES_MAX; names++) {
		list += strspn(list, ", \t");
		size_t length = strcspn(list, ", \t");
		char name[256]; /* a container's name has at most 63 bytes */
		if (length > 0 && length < sizeof name) {
			memcpy(name, list, length);
			name[length] = '\0';
		}
		if (length > 0 && (length >= sizeof name || !pick(picked, name)) &&
		    ret_missing != NULL && *ret_missing == NULL)
			*ret_missing = list;
		list += length;
	}
}

/* Picks every container whose name matches (or, wanted false, does not match) a pattern. */
static void pick_matching(struct picked *picked, const struct strings *patterns, bool wanted)
{
	const json *containers = json_find(picked->pod, "spec", "containers", NULL);
	for (const json *c = json_first(containers); c != NULL; c = json_next(c)) {
		const char *name = json_get_string(c, "name");
		if (name != NULL && matches_any(patterns, name) == wanted)
			pick(picked, name);
	}
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

	const char *const single[] = {
	        pod_label(picked->pod, KEY_CLI_CONTAINER),
	        pod_annotation(picked->pod, KEY_DEFAULT_CONTAINER),
	        "main",
	};
	for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
		if (single[i] != NULL && pick(picked, single[i]))
			return;
	pick_matching(picked, &config->known_sidecars, false);
}

size_t select_agents(const struct config *config, const struct rule *rule, const json *pod,
                     const json **ret_containers, size_t capacity, const char **ret_missing)
{
	struct picked picked = {.pod = pod, .containers = ret_containers, .capacity = capacity};
	*ret_missing = NULL;
	pick_by_source(&picked, config, rule, ret_missing);

	/* In the pod's order, whatever order the source had. */
	const json *containers = json_find(pod, "spec", "containers", NULL);
	size_t sorted = 0;
	for (const json *c = json_first(containers); c != NULL; c = json_next(c)) {
		for (size_t i = sorted; i < picked.count; i++) {
			if (ret_containers[i] != c)
				continue;
			ret_containers[i] = ret_containers[sorted];
			ret_containers[sorted++] = c;
			break;
		}
	}
	return picked.count;
}
