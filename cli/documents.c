#include "cli/documents.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buffer.h"
#include "lib/base/files.h"
#include "lib/document/yaml.h"
#include "webhook/admission.h"

#define ARENA_LIMIT ((size_t)1024 * 1024 * 1024)

/* ---- Loading ---- */

static bool read_input(const char *path, struct buffer *out, struct error *error)
{
	if (strcmp(path, "-") != 0)
		return file_read(path, out, error);
	char chunk[16384];
	ssize_t got;
	while ((got = read(STDIN_FILENO, chunk, sizeof chunk)) > 0)
		buffer_append(out, chunk, (size_t)got);
	if (got < 0)
		return error_set_errno(error, errno, "standard input");
	return buffer_ok(out) ||
	       error_set(error, "standard input: expected at most %zu bytes", out->limit);
}

static bool parse_json(struct documents *documents, size_t length, struct error *error)
{
	documents->items = arena_allocate(documents->arena, sizeof *documents->items);
	if (documents->items == NULL)
		return error_set(error, "no memory");
	json *root;
	if (json_parse(documents->arena, documents->text, length, JSON_KEEP_NUMBERS, &root,
	               error) != JSON_FAITHFUL)
		return false;
	documents->items[0] =
	        (struct document){.root = root, .text = documents->text, .length = length};
	documents->count = 1;
	documents->is_json = true;
	return true;
}

/* "---" and the line break behind it are not the document's. */
static void strip_marker(struct document *document)
{
	if (document->length < 3 || strncmp(document->text, "---", 3) != 0)
		return;
	size_t skip = 3 + strspn(document->text + 3, " \t");
	if (document->text[skip] != '\n' && document->text[skip] != '\r')
		return; /* content follows on the line; it stays as it is, marker included */
	skip += strspn(document->text + skip, "\r\n");
	document->text += skip;
	document->length = skip > document->length ? 0 : document->length - skip;
}

static bool parse_yaml(struct documents *documents, size_t length, struct error *error)
{
	struct yaml_document *parsed;
	size_t count;
	if (!yaml_parse(documents->arena, documents->text, length, &parsed, &count, error))
		return false;
	documents->items = arena_allocate(documents->arena, (count + 1) * sizeof *documents->items);
	if (documents->items == NULL)
		return error_set(error, "no memory");
	for (size_t i = 0; i < count; i++) {
		struct document *document = &documents->items[documents->count++];
		*document = (struct document){.root = parsed[i].root,
		                              .text = documents->text + parsed[i].start,
		                              .length = parsed[i].end - parsed[i].start};
		strip_marker(document);
	}
	return true;
}

bool documents_load(const char *path, struct documents *ret_documents, struct error *error)
{
	struct documents documents = {.arena = arena_new(ARENA_LIMIT)};
	struct buffer text;
	buffer_init(&text, DOCUMENTS_SIZE_MAX);
	if (documents.arena == NULL)
		return error_set(error, "no memory");
	bool loaded = read_input(path, &text, error);
	size_t length = text.length;
	if (loaded)
		documents.text = arena_copy(documents.arena, buffer_text(&text), length);
	buffer_free(&text);
	if (loaded && documents.text == NULL)
		loaded = error_set(error, "no memory");
	if (loaded && documents.text != NULL) {
		char first = documents.text[strspn(documents.text, " \t\r\n")];
		loaded = first == '{' || first == '[' ? parse_json(&documents, length, error)
		                                      : parse_yaml(&documents, length, error);
		if (!loaded)
			error_wrap(error, "%s", path);
	}
	if (!loaded) {
		documents_free(&documents);
		return false;
	}
	*ret_documents = documents;
	return true;
}

void documents_free(struct documents *documents)
{
	arena_free(documents->arena);
	*documents = (struct documents){0};
}

/* ---- Finding pods ---- */

struct search {
	struct arena *arena;
	bool (*visit)(void *context, const struct found_pod *found);
	void *context;
};

static const char *object_name(const json *object)
{
	const json *metadata = json_get(object, "metadata");
	const char *name = json_get_string(metadata, "name");
	return name != NULL ? name : json_get_string_or(metadata, "generateName", "");
}

static bool visit_pod(const struct search *search, const json *object, json *pod,
                      const char *pointer)
{
	struct found_pod found = {
	        .pod = pod,
	        .pointer = pointer,
	        .namespace = json_string(json_find(object, "metadata", "namespace", NULL)),
	        .kind = json_get_string_or(object, "kind", ""),
	        .name = object_name(object),
	};
	return pointer != NULL && search->visit(search->context, &found);
}

/* ---- Argo ---- */

static bool add_all(struct arena *arena, json *target, const json *source)
{
	for (const json *member = json_first(source); member != NULL; member = json_next(member))
		if (!json_set_member(arena, target, json_key(member),
		                     json_duplicate(arena, member)))
			return false;
	return true;
}

static json *labels_model(struct arena *arena, const json *workflow, const json *template)
{
	json *labels = json_new_object(arena);
	if (labels == NULL ||
	    !add_all(arena, labels, json_find(template, "metadata", "labels", NULL)) ||
	    !json_set_member(arena, labels, "workflows.argoproj.io/workflow",
	                     json_new_string(arena, object_name(workflow))))
		return NULL;
	return labels;
}

/* Argo names the container of a template "main"; those of a containerSet have names. */
static json *containers_model(struct arena *arena, const json *template)
{
	static const char *const single[] = {"container", "script"};
	json *containers = json_new_array(arena);
	for (size_t i = 0; containers != NULL && i < 2; i++) {
		const json *container = json_get(template, single[i]);
		json *copy = container == NULL ? NULL : json_duplicate(arena, container);
		if (copy != NULL && json_is_object(copy) &&
		    (!json_set_member(arena, copy, "name", json_new_string(arena, "main")) ||
		     !json_append(containers, copy)))
			return NULL;
	}
	const json *set = json_find(template, "containerSet", "containers", NULL);
	for (const json *n = json_first(set); containers != NULL && n != NULL; n = json_next(n))
		if (!json_append(containers, json_duplicate(arena, n)))
			return NULL;
	json *wait = json_new_object(arena);
	if (containers == NULL || wait == NULL ||
	    !json_add_member(arena, wait, "name", json_new_string(arena, "wait")) ||
	    (json_size(containers) > 0 && !json_append(containers, wait)))
		return NULL;
	return containers;
}

static json *pod_model(struct arena *arena, const json *workflow, const json *template)
{
	json *metadata = json_new_object(arena);
	json *annotations = json_new_object(arena);
	json *spec = json_new_object(arena);
	json *pod = json_new_object(arena);
	if (metadata == NULL || annotations == NULL || spec == NULL || pod == NULL ||
	    !add_all(arena, annotations, json_find(template, "metadata", "annotations", NULL)) ||
	    !json_add_member(arena, metadata, "labels", labels_model(arena, workflow, template)) ||
	    !json_add_member(arena, metadata, "annotations", annotations) ||
	    !json_add_member(arena, spec, "containers", containers_model(arena, template)) ||
	    !json_add_member(arena, spec, "restartPolicy", json_new_string(arena, "Never")) ||
	    !json_add_member(arena, pod, "metadata", metadata) ||
	    !json_add_member(arena, pod, "spec", spec))
		return NULL;
	return pod;
}

static bool visit_workflow(const struct search *search, const json *workflow, const char *base)
{
	const json *spec = json_get(workflow, "spec");
	if (strcmp(json_get_string_or(workflow, "kind", ""), "CronWorkflow") == 0)
		spec = json_get(spec, "workflowSpec");
	const json *templates = json_get(spec, "templates");
	for (const json *t = json_first(templates); t != NULL; t = json_next(t)) {
		json *pod = pod_model(search->arena, workflow, t);
		if (pod == NULL)
			return false;
		if (json_size(json_find(pod, "spec", "containers", NULL)) == 0)
			continue; /* steps, a DAG, suspend …: no pod */
		struct found_pod found = {
		        .pod = pod,
		        .pointer = base,
		        .namespace =
		                json_string(json_find(workflow, "metadata", "namespace", NULL)),
		        .kind = json_get_string_or(workflow, "kind", ""),
		        .name = json_get_string_or(t, "name", ""),
		        .is_model = true,
		};
		if (!search->visit(search->context, &found))
			return false;
	}
	return true;
}

static bool is_argo(const json *object)
{
	const char *kind = json_get_string_or(object, "kind", "");
	const char *version = json_get_string_or(object, "apiVersion", "");
	return strncmp(version, "argoproj.io/", 12) == 0 && strstr(kind, "Workflow") != NULL;
}

/* ---- One object ---- */

static bool visit_review(const struct search *search, json *review, const char *base)
{
	json *request = json_get(review, "request");
	json *pod = json_get(request, "object");
	if (!json_is_object(pod) || !admission_is_pod_creation(request))
		return true;
	struct found_pod found = {
	        .pod = pod,
	        .pointer = arena_printf(search->arena, "%s/request/object", base),
	        .namespace = json_get_string(request, "namespace"),
	        .kind = "Pod",
	        .name = object_name(pod),
	};
	return found.pointer != NULL && search->visit(search->context, &found);
}

static bool visit_template(const struct search *search, json *object, const char *base)
{
	static const char *const paths[][5] = {
	        {"spec", "template", NULL},
	        {"spec", "jobTemplate", "spec", "template", NULL},
	        {"template", NULL},
	};
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		json *template = object;
		const char *pointer = base;
		for (size_t j = 0; paths[i][j] != NULL && pointer != NULL; j++) {
			template = json_get(template, paths[i][j]);
			pointer = arena_printf(search->arena, "%s/%s", pointer, paths[i][j]);
		}
		if (json_find(template, "spec", "containers", NULL) != NULL)
			return visit_pod(search, object, template, pointer);
	}
	return true;
}

static bool visit_object(const struct search *search, json *object, const char *base)
{
	const char *kind = json_get_string_or(object, "kind", "");
	if (strcmp(kind, "AdmissionReview") == 0)
		return visit_review(search, object, base);
	if (is_argo(object))
		return visit_workflow(search, object, base);
	if (strcmp(kind, "Pod") == 0)
		return visit_pod(search, object, object, base);
	return visit_template(search, object, base);
}

bool documents_each_pod(struct arena *arena, json *root,
                        bool (*visit)(void *context, const struct found_pod *found), void *context)
{
	struct search search = {.arena = arena, .visit = visit, .context = context};
	const char *kind = json_get_string_or(root, "kind", "");
	size_t length = strlen(kind);
	json *items = json_get(root, "items");
	bool is_list = length >= 4 && strcmp(kind + length - 4, "List") == 0;
	if (!is_list || !json_is_array(items))
		return visit_object(&search, root, "");

	size_t index = 0;
	for (json *item = json_first(items); item != NULL; item = json_next(item), index++) {
		const char *base = arena_printf(arena, "/items/%zu", index);
		if (base == NULL || !visit_object(&search, item, base))
			return false;
	}
	return true;
}
