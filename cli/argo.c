#include "cli/argo.h"

#include <string.h>

#include "lib/base/buffer.h"
#include "lib/document/yaml.h"

#define EXECUTOR_IMAGE "quay.io/argoproj/argoexec:latest" /* the default of Argo's controller */
#define EXECUTOR       "/var/run/argo/argoexec"
#define SCRIPT_PATH    "/argo/staging/script"
#define TEMPLATE_MAX   131072 /* bytes; MaxEnvVarLen of Argo's workflow/common */

/* A pod in the making. Failure (no memory) is sticky: every node made since is NULL. */
struct maker {
	struct arena *arena;
	const json *workflow; /* the object */
	const json *spec;     /* its WorkflowSpec */
	bool failed;
};

static json *made(struct maker *maker, json *node)
{
	maker->failed = maker->failed || node == NULL;
	return node;
}

static json *new_text(struct maker *maker, const char *text)
{
	return made(maker, json_new_string(maker->arena, text));
}

static json *copy_of(struct maker *maker, const json *node)
{
	return made(maker, json_duplicate(maker->arena, node));
}

static void set(struct maker *maker, json *object, const char *key, json *value)
{
	if (!maker->failed && !json_set_member(maker->arena, object, key, value))
		maker->failed = true;
}

static void append(struct maker *maker, json *array, json *value)
{
	if (!maker->failed && !json_append(array, value))
		maker->failed = true;
}

/* Copies of the members of source, where it is an object. */
static void set_all(struct maker *maker, json *object, const json *source)
{
	if (!json_is_object(source))
		return;
	for (const json *n = json_first(source); n != NULL && !maker->failed; n = json_next(n))
		set(maker, object, json_key(n), copy_of(maker, n));
}

static void append_all(struct maker *maker, json *array, const json *source)
{
	if (!json_is_array(source))
		return;
	for (const json *n = json_first(source); n != NULL && !maker->failed; n = json_next(n))
		append(maker, array, copy_of(maker, n));
}

/* ---- Strategic merge, as far as pods need it ---- */

struct merge {
	struct merge *next;
	json *target;
	const json *patch;
};

/* The element of the list that the patch's element is merged into: of the same name, or mounted at
 * the same path. */
static json *merge_target(const json *list, const json *patch)
{
	static const char *const keys[] = {"mountPath", "name"};
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		const char *wanted = json_get_string(patch, keys[i]);
		for (json *n = json_first(list); wanted != NULL && n != NULL; n = json_next(n))
			if (json_string_is(json_get(n, keys[i]), wanted))
				return n;
		if (wanted != NULL)
			return NULL;
	}
	return NULL;
}

static void push(struct maker *maker, struct merge **todo, json *target, const json *patch)
{
	struct merge *merge = arena_allocate(maker->arena, sizeof *merge);
	maker->failed = maker->failed || merge == NULL;
	if (maker->failed)
		return;
	*merge = (struct merge){.next = *todo, .target = target, .patch = patch};
	*todo = merge;
}

static void merge_lists(struct maker *maker, struct merge **todo, json *target, const json *patch)
{
	for (const json *n = json_first(patch); n != NULL && !maker->failed; n = json_next(n)) {
		json *same = merge_target(target, n);
		if (same != NULL)
			push(maker, todo, same, n);
		else
			append(maker, target, copy_of(maker, n));
	}
}

/* The patch goes before what is there; lists of things with names are merged by them, others are
 * replaced, a null deletes. */
static void merge_into(struct maker *maker, json *target, const json *patch)
{
	struct merge *todo = NULL;
	push(maker, &todo, target, patch);
	while (todo != NULL && !maker->failed) {
		struct merge merge = *todo;
		todo = todo->next;
		for (const json *n = json_first(merge.patch); n != NULL; n = json_next(n)) {
			json *there = json_get(merge.target, json_key(n));
			bool lists = json_is_array(there) && json_is_object(json_first(n));
			if (json_is_object(there) && json_is_object(n))
				push(maker, &todo, there, n);
			else if (lists && json_is_object(json_first(there)))
				merge_lists(maker, &todo, there, n);
			else if (json_is_null(n) && there != NULL)
				json_remove(merge.target, there);
			else if (!json_is_null(n))
				set(maker, merge.target, json_key(n), copy_of(maker, n));
		}
	}
}

/* ---- Containers ---- */

/* argoexec emissary runs the container's command. One that names none has its image's: the
 * controller looks it up, or refuses the workflow. */
static void run_by_executor(struct maker *maker, json *container)
{
	static const char *const words[] = {EXECUTOR,       "emissary", "--loglevel", "info",
	                                    "--log-format", "text",     "--"};
	json *command = made(maker, json_new_array(maker->arena));
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		append(maker, command, new_text(maker, words[i]));
	append_all(maker, command, json_get(container, "command"));
	set(maker, container, "command", command);
}

static json *executor_container(struct maker *maker, const char *name, const char *job,
                                const char *word)
{
	json *container = made(maker, json_new_object(maker->arena));
	json *command = made(maker, json_new_array(maker->arena));
	append(maker, command, new_text(maker, "argoexec"));
	append(maker, command, new_text(maker, job));
	if (word != NULL)
		append(maker, command, new_text(maker, word));
	set(maker, container, "name", new_text(maker, name));
	set(maker, container, "image", new_text(maker, EXECUTOR_IMAGE));
	set(maker, container, "command", command);
	return container;
}

/* The template's own member of that name, as the container "main". */
static json *main_container(struct maker *maker, const json *template, const char *type)
{
	const json *own = json_get(template, type);
	if (strcmp(type, "resource") == 0)
		return executor_container(maker, "main", "resource",
		                          json_get_string_or(own, "action", "get"));
	if (strcmp(type, "data") == 0)
		return executor_container(maker, "main", "data", "{}");
	json *container = copy_of(maker, own);
	if (strcmp(type, "script") == 0) {
		json *args = made(maker, json_new_array(maker->arena));
		append_all(maker, args, json_get(own, "args"));
		append(maker, args, new_text(maker, SCRIPT_PATH));
		json_remove(container, json_get(container, "source"));
		set(maker, container, "args", args);
	}
	set(maker, container, "name", new_text(maker, "main"));
	return container;
}

/* "main", or the last one, as kubectl exec and logs shall take it. */
static const char *default_container(const json *containers)
{
	const char *name = "";
	for (const json *n = json_first(containers); n != NULL; n = json_next(n)) {
		name = json_get_string_or(n, "name", "");
		if (strcmp(name, "main") == 0)
			break;
	}
	return name;
}

static json *containers_of(struct maker *maker, const json *template, const char *type,
                           const char **ret_default)
{
	json *containers = made(maker, json_new_array(maker->arena));
	json *agents = made(maker, json_new_array(maker->arena));
	if (strcmp(type, "containerSet") == 0)
		append_all(maker, agents, json_find(template, "containerSet", "containers", NULL));
	else
		append(maker, agents, main_container(maker, template, type));
	*ret_default = default_container(agents);
	append_all(maker, agents, json_get(template, "sidecars"));
	for (json *n = json_first(agents); n != NULL && !maker->failed; n = json_next(n))
		run_by_executor(maker, n);
	/* In these two the executor is the main container. */
	if (strcmp(type, "resource") != 0 && strcmp(type, "data") != 0)
		append(maker, containers, executor_container(maker, "wait", "wait", NULL));
	append_all(maker, containers, agents);
	return containers;
}

/* ---- Pods ---- */

static const char *workflow_name(const json *workflow)
{
	const json *metadata = json_get(workflow, "metadata");
	return json_get_string_or(metadata, "name",
	                          json_get_string_or(metadata, "generateName", ""));
}

static void set_metadata(struct maker *maker, json *pod, const json *template,
                         const char *default_name)
{
	static const char *const kinds[] = {"labels", "annotations"};
	json *metadata = made(maker, json_new_object(maker->arena));
	json *maps[2];
	for (size_t i = 0; i < 2; i++)
		maps[i] = made(maker, json_new_object(maker->arena));
	set(maker, maps[0], "workflows.argoproj.io/workflow",
	    new_text(maker, workflow_name(maker->workflow)));
	set(maker, maps[0], "workflows.argoproj.io/completed", new_text(maker, "false"));
	set(maker, maps[1], "kubectl.kubernetes.io/default-container",
	    new_text(maker, default_name));
	for (size_t i = 0; i < 2; i++) {
		set_all(maker, maps[i], json_find(maker->spec, "podMetadata", kinds[i], NULL));
		set_all(maker, maps[i], json_find(template, "metadata", kinds[i], NULL));
		set(maker, metadata, kinds[i], maps[i]);
	}
	set(maker, pod, "metadata", metadata);
}

static json *volumes_of(struct maker *maker, const json *template)
{
	json *volumes = made(maker, json_new_array(maker->arena));
	json *executor = made(maker, json_new_object(maker->arena));
	set(maker, executor, "name", new_text(maker, "var-run-argo"));
	set(maker, executor, "emptyDir", made(maker, json_new_object(maker->arena)));
	append(maker, volumes, executor);
	append_all(maker, volumes, json_get(template, "volumes"));
	append_all(maker, volumes, json_get(maker->spec, "volumes"));
	return volumes;
}

/* The template's own values have precedence over the workflow's. */
static void set_scheduling(struct maker *maker, json *spec, const json *template)
{
	static const char *const members[] = {"nodeSelector",  "affinity",
	                                      "tolerations",   "securityContext",
	                                      "schedulerName", "serviceAccountName",
	                                      "hostNetwork",   "automountServiceAccountToken"};
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		const json *value = json_get(template, members[i]);
		value = value == NULL ? json_get(maker->spec, members[i]) : value;
		if (value != NULL)
			set(maker, spec, members[i], copy_of(maker, value));
	}
}

/* A text of YAML or JSON; one that parameters make unreadable has no effect here. */
static void apply_patch(struct maker *maker, json *spec, const json *patch)
{
	const char *text = json_string(patch);
	struct yaml_document *documents;
	size_t count;
	struct error error;
	if (text != NULL &&
	    yaml_parse(maker->arena, text, strlen(text), YAML_AS_KUBECTL, &documents, &count,
	               &error) &&
	    count == 1 && json_is_object(documents->root))
		merge_into(maker, spec, documents->root);
}

static json *pod_of(struct maker *maker, const json *template, json *containers,
                    const char *default_name, json *inits, const char *restart_policy)
{
	json *pod = made(maker, json_new_object(maker->arena));
	json *spec = made(maker, json_new_object(maker->arena));
	set_metadata(maker, pod, template, default_name);
	set(maker, spec, "containers", containers);
	set(maker, spec, "initContainers", inits);
	set(maker, spec, "restartPolicy", new_text(maker, restart_policy));
	set(maker, spec, "volumes", volumes_of(maker, template));
	set_scheduling(maker, spec, template);
	if (!maker->failed)
		apply_patch(maker, spec, json_get(maker->spec, "podSpecPatch"));
	if (!maker->failed)
		apply_patch(maker, spec, json_get(template, "podSpecPatch"));
	set(maker, pod, "spec", spec);
	return pod;
}

/* The executor reads its template from the environment; one that is larger from a ConfigMap. */
static void set_template(struct maker *maker, json *init, const json *template)
{
	if (maker->failed)
		return;
	_cleanup_buffer_ struct buffer text;
	buffer_init(&text, TEMPLATE_MAX);
	json_print(&text, template, 0);
	bool fits = buffer_ok(&text);
	json *variable = made(maker, json_new_object(maker->arena));
	json *env = made(maker, json_new_array(maker->arena));
	set(maker, variable, "name", new_text(maker, "ARGO_TEMPLATE"));
	set(maker, variable, "value", new_text(maker, fits ? buffer_text(&text) : "offloaded"));
	append(maker, env, variable);
	set(maker, init, "env", env);
}

static json *template_pod(struct maker *maker, const json *template, const char *type)
{
	json *inits = made(maker, json_new_array(maker->arena));
	json *init = executor_container(maker, "init", "init", NULL);
	set_template(maker, init, template);
	append(maker, inits, init);
	append_all(maker, inits, json_get(template, "initContainers"));
	const char *default_name;
	json *containers = containers_of(maker, template, type, &default_name);
	return pod_of(maker, template, containers, default_name, inits, "Never");
}

/* The one pod of a workflow that runs its HTTP and plugin templates. */
static json *agent_pod(struct maker *maker)
{
	json *none = made(maker, json_new_object(maker->arena));
	json *inits = made(maker, json_new_array(maker->arena));
	json *containers = made(maker, json_new_array(maker->arena));
	append(maker, inits, executor_container(maker, "init", "agent", "init"));
	append(maker, containers, executor_container(maker, "main", "agent", "main"));
	json *pod = pod_of(maker, none, containers, "main", inits, "OnFailure");
	set(maker, json_find(pod, "metadata", "labels", NULL), "workflows.argoproj.io/component",
	    new_text(maker, "agent"));
	return pod;
}

/* ---- Templates ---- */

/* In the order in which Argo looks; those that make a pod of their own. */
static const char *const pod_types[] = {"container", "containerSet", "script", "resource", "data"};
#define POD_TYPES (sizeof pod_types / sizeof pod_types[0])

static const char *type_of(const json *template)
{
	for (size_t i = 0; i < POD_TYPES; i++)
		if (json_is_object(json_get(template, pod_types[i])))
			return pod_types[i];
	return NULL;
}

/* Merged into the workflow's templateDefaults, of which members for other types have no effect. */
static const json *with_defaults(struct maker *maker, const json *template)
{
	const json *defaults = json_get(maker->spec, "templateDefaults");
	const char *type = type_of(template);
	if (!json_is_object(defaults))
		return template;
	json *merged = copy_of(maker, defaults);
	if (!maker->failed)
		merge_into(maker, merged, template);
	for (size_t i = 0; i < POD_TYPES && !maker->failed; i++) {
		json *other = json_get(merged, pod_types[i]);
		if (other != NULL && (type == NULL || strcmp(pod_types[i], type) != 0))
			json_remove(merged, other);
	}
	return merged;
}

struct visiting {
	struct maker maker;
	bool (*visit)(void *context, json *pod, const char *template_name);
	void *context;
	bool has_agent;
};

static bool visit_template(struct visiting *visiting, const json *template, const char *name)
{
	struct maker *maker = &visiting->maker;
	if (!json_is_object(template))
		return true;
	const char *type = type_of(template);
	bool by_agent = json_get(template, "http") != NULL || json_get(template, "plugin") != NULL;
	json *pod = NULL;
	if (type != NULL)
		pod = template_pod(maker, with_defaults(maker, template), type);
	else if (by_agent && !visiting->has_agent)
		pod = agent_pod(maker);
	visiting->has_agent = visiting->has_agent || (type == NULL && by_agent);
	if (maker->failed)
		return false;
	return pod == NULL || visiting->visit(visiting->context, pod, name);
}

/* A step or task may have its template in place. */
static bool visit_inline(struct visiting *visiting, const json *step)
{
	return visit_template(visiting, json_get(step, "inline"),
	                      json_get_string_or(step, "name", ""));
}

static bool visit_all(struct visiting *visiting, const json *template)
{
	if (!visit_template(visiting, template, json_get_string_or(template, "name", "")))
		return false;
	const json *groups = json_get(template, "steps");
	for (const json *group = json_first(groups); group != NULL; group = json_next(group))
		for (const json *n = json_first(group); n != NULL; n = json_next(n))
			if (!visit_inline(visiting, n))
				return false;
	const json *tasks = json_find(template, "dag", "tasks", NULL);
	for (const json *n = json_first(tasks); n != NULL; n = json_next(n))
		if (!visit_inline(visiting, n))
			return false;
	return true;
}

bool argo_is_workflow(const json *object)
{
	static const char *const kinds[] = {"Workflow", "WorkflowTemplate",
	                                    "ClusterWorkflowTemplate", "CronWorkflow"};
	const char *kind = json_get_string_or(object, "kind", "");
	if (strncmp(json_get_string_or(object, "apiVersion", ""), "argoproj.io/", 12) != 0)
		return false;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kind, kinds[i]) == 0)
			return true;
	return false;
}

bool argo_visit_pods(struct arena *arena, const json *workflow,
                     bool (*visit)(void *context, json *pod, const char *template_name),
                     void *context)
{
	const json *spec = json_get(workflow, "spec");
	if (json_string_is(json_get(workflow, "kind"), "CronWorkflow"))
		spec = json_get(spec, "workflowSpec");
	struct visiting visiting = {
	        .maker = {.arena = arena, .workflow = workflow, .spec = spec},
	        .visit = visit,
	        .context = context,
	};
	const json *templates = json_get(spec, "templates");
	for (const json *n = json_first(templates); n != NULL; n = json_next(n))
		if (!visit_all(&visiting, n))
			return false;
	return true;
}
