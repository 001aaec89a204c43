#include "cli/controller_labels.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/glob.h"

/* What a value stands for; every other value is the label's own. */
#define UNKNOWN ""       /* only the cluster knows it */
#define NAME    "$name"  /* the object's name */
#define ITEM    "$item"  /* the name of the element of the list that the template is in */
#define KEY     "$key"   /* the member above the template, in lower case */
#define INDEX   "$index" /* only the cluster knows it; only where the Job's mode is Indexed */

#define LABELS_MAX 8

struct label {
	const char *key;
	const char *value;
};

struct controller {
	const char *group; /* of the apiVersion: a pattern */
	const char *kind;  /* a pattern */
	const char *path;  /* of the template: a pattern */
	struct label labels[LABELS_MAX];
};

#define JOB_LABELS(name)                                            \
	{"batch.kubernetes.io/job-name", name}, {"job-name", name}, \
	        {"batch.kubernetes.io/controller-uid", UNKNOWN},    \
	{                                                           \
		"controller-uid", UNKNOWN                           \
	}

/*
 * Sources: Kubernetes' pkg/controller/{job,deployment,statefulset,daemon}; of the others their
 * documentation of labels. All rows that fit an object count: a JobSet's pods are pods of Jobs,
 * too.
 */
static const struct controller controllers[] = {
        {"batch", "Job", "/spec/template", {JOB_LABELS(NAME)}},
        {"*", "*", "*/jobTemplate/spec/template", {JOB_LABELS(UNKNOWN)}},
        {"*", "*", "*/template/spec/template", {JOB_LABELS(UNKNOWN)}},
        {"batch", "*Job", "*/template", {{"batch.kubernetes.io/job-completion-index", INDEX}}},
        {"keda.sh", "ScaledJob", "*/jobTargetRef/template", {JOB_LABELS(UNKNOWN)}},
        {"apps", "Deployment", "/spec/template", {{"pod-template-hash", UNKNOWN}}},
        {"argoproj.io", "Rollout", "/spec/template", {{"rollouts-pod-template-hash", UNKNOWN}}},
        {"apps",
         "StatefulSet",
         "/spec/template",
         {{"controller-revision-hash", UNKNOWN},
          {"statefulset.kubernetes.io/pod-name", UNKNOWN},
          {"apps.kubernetes.io/pod-index", UNKNOWN}}},
        {"apps",
         "DaemonSet",
         "/spec/template",
         {{"controller-revision-hash", UNKNOWN}, {"pod-template-generation", UNKNOWN}}},
        {"jobset.x-k8s.io",
         "JobSet",
         "*",
         {{"jobset.sigs.k8s.io/jobset-name", NAME},
          {"jobset.sigs.k8s.io/replicatedjob-name", ITEM},
          {"jobset.sigs.k8s.io/replicatedjob-replicas", UNKNOWN},
          {"jobset.sigs.k8s.io/job-index", UNKNOWN},
          {"batch.kubernetes.io/job-completion-index", UNKNOWN}}},
        {"trainer.kubeflow.org",
         "*TrainingRuntime",
         "*/replicatedJobs/*",
         {{"jobset.sigs.k8s.io/jobset-name", UNKNOWN},
          {"jobset.sigs.k8s.io/replicatedjob-name", ITEM}}},
        {"actions.github.com",
         "AutoscalingRunnerSet",
         "/spec/template",
         {{"actions.github.com/scale-set-name", NAME},
          {"actions.github.com/scale-set-namespace", UNKNOWN},
          {"actions-ephemeral-runner", "True"},
          {"app.kubernetes.io/component", "runner"}}},
        {"leaderworkerset.x-k8s.io",
         "LeaderWorkerSet",
         "*",
         {{"leaderworkerset.sigs.k8s.io/name", NAME},
          {"leaderworkerset.sigs.k8s.io/group-index", UNKNOWN},
          {"leaderworkerset.sigs.k8s.io/worker-index", UNKNOWN},
          {"statefulset.kubernetes.io/pod-name", UNKNOWN},
          {"controller-revision-hash", UNKNOWN}}},
        {"ray.io",
         "*",
         "*GroupSpec*",
         {{"ray.io/is-ray-node", "yes"},
          {"ray.io/identifier", UNKNOWN},
          {"app.kubernetes.io/name", "kuberay"},
          {"app.kubernetes.io/created-by", "kuberay-operator"}}},
        {"ray.io", "RayCluster", "*GroupSpec*", {{"ray.io/cluster", NAME}}},
        {"ray.io", "*", "*GroupSpec*", {{"ray.io/cluster", UNKNOWN}}},
        {"ray.io",
         "*",
         "*/headGroupSpec/*",
         {{"ray.io/node-type", "head"}, {"ray.io/group", "headgroup"}}},
        {"ray.io",
         "*",
         "*/workerGroupSpecs/*",
         {{"ray.io/node-type", "worker"}, {"ray.io/group", ITEM}}},
        {"ray.io", "RayJob", "*/submitterPodTemplate", {JOB_LABELS(UNKNOWN)}},
        {"kubeflow.org",
         "*Job",
         "*ReplicaSpecs/*",
         {{"training.kubeflow.org/job-name", NAME},
          {"training.kubeflow.org/replica-type", KEY},
          {"training.kubeflow.org/replica-index", UNKNOWN},
          {"training.kubeflow.org/operator-name", UNKNOWN}}},
        {"sparkoperator.k8s.io",
         "*SparkApplication",
         "*",
         {{"sparkoperator.k8s.io/app-name", NAME},
          {"sparkoperator.k8s.io/launched-by-spark-operator", "true"},
          {"sparkoperator.k8s.io/submission-id", UNKNOWN},
          {"spark-app-selector", UNKNOWN},
          {"spark-role", KEY}}},
        {"batch.volcano.sh",
         "Job",
         "*",
         {{"volcano.sh/job-name", NAME},
          {"volcano.sh/job-namespace", UNKNOWN},
          {"volcano.sh/queue-name", UNKNOWN},
          {"volcano.sh/task-spec", ITEM},
          {"volcano.sh/task-index", UNKNOWN}}},
        {"*agents.x-k8s.io", "Sandbox*", "*", {{"agents.x-k8s.io/sandbox-name-hash", UNKNOWN}}},
        {"serving.knative.dev",
         "Service",
         "*",
         {{"serving.knative.dev/service", NAME},
          {"serving.knative.dev/configuration", NAME},
          {"serving.knative.dev/revision", UNKNOWN}}},
};

static bool has_group(const json *object, const char *pattern)
{
	const char *version = json_get_string_or(object, "apiVersion", "");
	const char *slash = strchr(version, '/');
	char group[254];
	size_t length = slash == NULL ? 0 : (size_t)(slash - version);
	if (length >= sizeof group)
		return false;
	memcpy(group, version, length);
	group[length] = '\0';
	return glob_match(pattern, group);
}

/* The node that has the path's last one, NULL when there is none; *ret_name: the name of the
 * innermost list element on the path, by name or groupName; "" when it has none. */
static const json *node_above(const json *object, const char *path, const char **ret_name)
{
	const char *name = UNKNOWN;
	const json *node = object;
	const json *above = NULL;
	*ret_name = UNKNOWN;
	while (*path == '/' && node != NULL) {
		char token[254];
		size_t length = strcspn(++path, "/");
		if (length >= sizeof token)
			return NULL;
		above = node;
		memcpy(token, path, length);
		token[length] = '\0';
		path += length;
		bool in_list = json_is_array(node);
		node = in_list ? json_at(node, strtoul(token, NULL, 10)) : json_get(node, token);
		if (in_list)
			name = json_get_string_or(node, "name",
			                          json_get_string_or(node, "groupName", UNKNOWN));
	}
	*ret_name = name;
	return above;
}

static bool is_indexed(const json *object, const char *path)
{
	const char *name;
	return json_string_is(json_get(node_above(object, path, &name), "completionMode"),
	                      "Indexed");
}

/* The member before the last one of the path. NULL: no memory. */
static const char *key_above(struct arena *arena, const char *path)
{
	const char *end = strrchr(path, '/');
	const char *start = end;
	while (start > path && start[-1] != '/')
		start--;
	char *key = arena_copy(arena, start, (size_t)(end - start));
	for (char *c = key; c != NULL && *c != '\0'; c++)
		*c = ascii_to_lower(*c);
	return key;
}

static const char *value_of(struct arena *arena, const json *object, const char *path,
                            const char *value)
{
	if (strcmp(value, NAME) == 0)
		return json_get_string_or(json_get(object, "metadata"), "name", UNKNOWN);
	if (strcmp(value, ITEM) == 0) {
		const char *name;
		node_above(object, path, &name);
		return name;
	}
	if (strcmp(value, INDEX) == 0)
		return UNKNOWN;
	return strcmp(value, KEY) == 0 ? key_above(arena, path) : value;
}

bool controller_labels_add(struct arena *arena, const json *object, const char *path, json *labels)
{
	const char *kind = json_get_string_or(object, "kind", "");
	for (size_t i = 0; i < sizeof controllers / sizeof controllers[0]; i++) {
		const struct controller *controller = &controllers[i];
		if (!has_group(object, controller->group) || !glob_match(controller->kind, kind) ||
		    !glob_match(controller->path, path))
			continue;
		for (size_t l = 0; l < LABELS_MAX && controller->labels[l].key != NULL; l++) {
			const struct label *label = &controller->labels[l];
			const char *value = value_of(arena, object, path, label->value);
			if (json_get(labels, label->key) != NULL ||
			    (strcmp(label->value, INDEX) == 0 && !is_indexed(object, path)))
				continue;
			if (value == NULL || !json_add_member(arena, labels, label->key,
			                                      json_new_string(arena, value)))
				return false;
		}
	}
	return true;
}
