#include "cli/pods.h"

#include <string.h>

#include "cli/argo.h"
#include "cli/controller_labels.h"
#include "lib/base/buffer.h"
#include "webhook/admission.h"

#define POINTER_MAX ((size_t)64 * 1024)

struct search {
	struct arena *arena;
	const struct pod_visitor *visitor;
	const json *object; /* that is looked at */
	const char *kind;   /* its kind; in a PodList an item's may be missing */
	const char *base;   /* where it is in the document */
	bool found;         /* a pod, in it */
};

static const char *object_name(const json *object)
{
	const json *metadata = json_get(object, "metadata");
	const char *name = json_get_string(metadata, "name");
	return name != NULL ? name : json_get_string_or(metadata, "generateName", "(no name)");
}

static bool visit(struct search *search, struct found_pod *found)
{
	const json *object = search->object;
	search->found = true;
	found->object = object;
	found->pointer = arena_printf(search->arena, "%s%s", search->base, found->path);
	if (found->namespace == NULL)
		found->namespace = json_string(json_find(object, "metadata", "namespace", NULL));
	if (found->name == NULL)
		found->name = object_name(object);
	found->kind = search->kind;
	return found->pointer != NULL && search->visitor->pod(search->visitor->context, found);
}

/* ---- Templates, at any depth ---- */

/* One level of the way down to where the search is. */
struct level {
	json *next;      /* the child to look at */
	const char *key; /* NULL: the level is a list */
	size_t index;    /* of the child; SIZE_MAX before the first one */
};

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text);
	size_t tail = strlen(end);
	return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* "template" or "…Template" with spec.containers. */
static bool is_pod_template(const json *node)
{
	const char *key = json_key(node);
	return key != NULL && (strcmp(key, "template") == 0 || ends_with(key, "Template")) &&
	       json_is_array(json_find(node, "spec", "containers", NULL));
}

/* The JSON Pointer of the child that the deepest level looks at. */
static const char *pointer_to(struct arena *arena, const struct level *levels, size_t depth)
{
	struct buffer _cleanup_buffer_ pointer;
	buffer_init(&pointer, POINTER_MAX);
	for (size_t i = 0; i < depth; i++) {
		buffer_append_char(&pointer, '/');
		if (levels[i].key == NULL)
			buffer_printf(&pointer, "%zu", levels[i].index);
		for (const char *c = levels[i].key; c != NULL && *c != '\0'; c++) {
			if (*c == '~' || *c == '/')
				buffer_append_text(&pointer, *c == '~' ? "~0" : "~1");
			else
				buffer_append_char(&pointer, *c);
		}
	}
	return buffer_ok(&pointer) ? arena_copy(arena, buffer_text(&pointer), pointer.length)
	                           : NULL;
}

static bool visit_template(struct search *search, json *template, const char *path)
{
	const char *version = json_get_string_or(search->object, "apiVersion", "");
	bool knative = strncmp(version, "serving.knative.dev/", 20) == 0;
	struct found_pod found = {
	        .origin = knative ? POD_OF_KNATIVE : POD_TEMPLATE, .pod = template, .path = path};
	return path != NULL && visit(search, &found);
}

static bool visit_templates(struct search *search, json *object)
{
	struct level *levels = arena_allocate(search->arena, JSON_DEPTH_MAX * sizeof *levels);
	size_t depth = 1;
	if (levels == NULL)
		return false;
	levels[0] = (struct level){.next = json_first(object), .index = SIZE_MAX};
	while (depth > 0) {
		struct level *level = &levels[depth - 1];
		json *node = level->next;
		if (node == NULL) {
			depth--;
			continue;
		}
		level->next = json_next(node);
		level->key = json_key(node);
		level->index++;
		if (is_pod_template(node)) {
			if (!visit_template(search, node, pointer_to(search->arena, levels, depth)))
				return false;
		} else if (json_first(node) != NULL && depth < JSON_DEPTH_MAX) {
			levels[depth++] =
			        (struct level){.next = json_first(node), .index = SIZE_MAX};
		}
	}
	return true;
}

/* ---- One object ---- */

static void report_none(const struct search *search, const char *why)
{
	const struct no_pod none = {.kind = search->kind[0] == '\0' ? "(no kind)" : search->kind,
	                            .name = object_name(search->object),
	                            .why = why};
	search->visitor->no_pod(search->visitor->context, &none);
}

static bool visit_review(struct search *search, json *review)
{
	json *request = json_get(review, "request");
	json *pod = json_get(request, "object");
	if (!json_is_object(pod) || !admission_is_pod_creation(request)) {
		report_none(search, "the review is not about the creation of a pod");
		return true;
	}
	const json *object = search->object;
	search->kind = "Pod";
	struct found_pod found = {.origin = POD_ITSELF,
	                          .pod = pod,
	                          .path = "/request/object",
	                          .namespace = json_get_string(request, "namespace"),
	                          .name = object_name(pod)};
	search->object = pod;
	bool going = visit(search, &found);
	search->object = object;
	return going;
}

static bool visit_argo(void *context, json *pod, const char *template_name)
{
	struct found_pod found = {
	        .origin = POD_OF_ARGO, .pod = pod, .path = "", .name = template_name};
	return visit(context, &found);
}

/* Policies: what looks like a pod template there is a pattern. */
static bool is_policy(const json *object)
{
	static const char *const groups[] = {"kyverno.io/",
	                                     "policies.kyverno.io/",
	                                     "admissionregistration.k8s.io/",
	                                     "apiextensions.k8s.io/",
	                                     "templates.gatekeeper.sh/",
	                                     "constraints.gatekeeper.sh/"};
	const char *version = json_get_string_or(object, "apiVersion", "");
	for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
		if (strncmp(version, groups[i], strlen(groups[i])) == 0)
			return true;
	return false;
}

/* fallback: its kind where it names none. */
static bool visit_object(struct search *search, json *object, const char *fallback)
{
	const char *kind = json_get_string_or(object, "kind", fallback);
	bool going = true;
	search->object = object;
	search->kind = kind;
	search->found = false;
	if (strcmp(kind, "AdmissionReview") == 0)
		return visit_review(search, object);
	if (strcmp(kind, "Pod") == 0) {
		struct found_pod found = {.origin = POD_ITSELF, .pod = object, .path = ""};
		return visit(search, &found);
	}
	if (argo_is_workflow(object))
		going = argo_visit_pods(search->arena, object, visit_argo, search);
	else if (!is_policy(object))
		going = visit_templates(search, object);
	if (going && !search->found)
		report_none(search, kind[0] == '\0' ? "it has no kind" : "it has no pod template");
	return going;
}

bool pods_visit(struct arena *arena, json *root, const struct pod_visitor *visitor)
{
	struct search search = {.arena = arena, .visitor = visitor, .base = ""};
	json *items = json_get(root, "items");
	const char *kind = json_get_string_or(root, "kind", "");
	if (json_is_null(root))
		return true;
	if (!ends_with(kind, "List") || !json_is_array(items))
		return visit_object(&search, root, "");

	/* The API server's own lists name the kind of the items once. */
	const char *item_kind = arena_copy(arena, kind, strlen(kind) - strlen("List"));
	if (item_kind == NULL)
		return false;

	size_t index = 0;
	for (json *item = json_first(items); item != NULL; item = json_next(item), index++) {
		search.base = arena_printf(arena, "/items/%zu", index);
		if (search.base == NULL || !visit_object(&search, item, item_kind))
			return false;
	}
	return true;
}

/* ---- As the webhook sees it ---- */

/* Without null members, as the API server stores it. */
static bool drop_nulls(struct arena *arena, json *root)
{
	struct level *levels = arena_allocate(arena, JSON_DEPTH_MAX * sizeof *levels);
	json **parents = arena_allocate(arena, JSON_DEPTH_MAX * sizeof(json *));
	size_t depth = 1;
	if (levels == NULL || parents == NULL)
		return false;
	levels[0] = (struct level){.next = json_first(root)};
	parents[0] = root;
	while (depth > 0) {
		json *node = levels[depth - 1].next;
		if (node == NULL) {
			depth--;
			continue;
		}
		levels[depth - 1].next = json_next(node);
		if (json_is_null(node) && json_is_object(parents[depth - 1])) {
			json_remove(parents[depth - 1], node);
		} else if (json_first(node) != NULL && depth < JSON_DEPTH_MAX) {
			parents[depth] = node;
			levels[depth++] = (struct level){.next = json_first(node)};
		}
	}
	return true;
}

static json *ensure_object(struct arena *arena, json *parent, const char *key)
{
	json *child = json_get(parent, key);
	if (child != NULL)
		return child;
	child = json_new_object(arena);
	return child != NULL && json_add_member(arena, parent, key, child) ? child : NULL;
}

/* Knative names the containers that a Service leaves without a name. */
static bool name_containers(struct arena *arena, json *pod)
{
	json *containers = json_find(pod, "spec", "containers", NULL);
	json *first = json_first(containers);
	bool alone = first != NULL && json_next(first) == NULL;
	size_t index = 0;
	for (json *n = first; n != NULL; n = json_next(n), index++) {
		if (!json_is_object(n) || json_get(n, "name") != NULL)
			continue;
		const char *text =
		        alone ? "user-container" : arena_printf(arena, "user-container-%zu", index);
		json *name = text == NULL ? NULL : json_new_string(arena, text);
		if (name == NULL || !json_add_member(arena, n, "name", name))
			return false;
	}
	return true;
}

json *pod_as_created(struct arena *arena, const struct found_pod *found)
{
	json *pod = json_duplicate(arena, found->pod);
	if (pod == NULL || !drop_nulls(arena, pod))
		return NULL;
	if (found->origin != POD_TEMPLATE && found->origin != POD_OF_KNATIVE)
		return pod;
	if (found->origin == POD_OF_KNATIVE && !name_containers(arena, pod))
		return NULL;
	json *metadata = ensure_object(arena, pod, "metadata");
	json *labels = metadata == NULL ? NULL : ensure_object(arena, metadata, "labels");
	if (labels == NULL || (json_is_object(labels) &&
	                       !controller_labels_add(arena, found->object, found->path, labels)))
		return NULL;
	return pod;
}
