#include "cli/exit_records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/documents.h"
#include "cli/kube_list.h"
#include "lib/http/url.h"

#define OBJECT_MAX       ((size_t)64 * 1024 * 1024)
#define LIST_ARENA       ((size_t)1024 * 1024 * 1024)
#define ROWS_MAX         ((size_t)1000000)
#define PATH_SIZE_MAX    ((size_t)64 * 1024)
#define VERSION_SIZE_MAX ((size_t)1024)

int64_t exit_time(const struct agent_exit *exit)
{
	if (exit->finished_at > 0)
		return exit->finished_at;
	return exit->created_at > 0 ? exit->created_at : 0;
}

/* ---- The list ---- */

struct loading {
	struct exit_list *list;
	const struct exit_choice *choice;
	const char *namespace; /* only its records, in a file; NULL: all */
};

static const char *keep(struct exit_list *list, const char *text)
{
	return text == NULL ? "" : arena_copy(list->arena, text, strlen(text));
}

static bool keep_object(struct exit_list *list, const json *object, struct exit_row *row)
{
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, OBJECT_MAX);
	json_print(&text, object, 4);
	if (buffer_ok(&text))
		row->json = arena_copy(list->arena, buffer_text(&text), text.length);
	return row->json != NULL;
}

static bool make_room(struct exit_list *list)
{
	if (list->count < list->capacity)
		return true;
	size_t capacity = list->capacity == 0 ? 256 : list->capacity * 2;
	struct exit_row *rows =
	        list->count >= ROWS_MAX ? NULL : realloc(list->rows, capacity * sizeof *rows);
	if (rows == NULL)
		return false;
	list->rows = rows;
	list->capacity = capacity;
	return true;
}

static bool add_row(struct exit_list *list, const json *object, const struct agent_exit *exit,
                    bool keep_json)
{
	const struct agent_exit_condition *silent =
	        agent_exit_find_condition(exit, AGENT_EXIT_SILENT);
	struct exit_row row = {
	        .time = exit_time(exit),
	        .name = keep(list, exit->name),
	        .namespace = keep(list, exit->namespace),
	        .pod = keep(list, exit->pod),
	        .container = keep(list, exit->container),
	        .error_type = keep(list, exit->error_type),
	        .summary = keep(list, exit->summary),
	        .agent = keep(list, exit->agent),
	        .task_id = keep(list, exit->task_id),
	        .owner = keep(list, exit->owner),
	        .node = keep(list, exit->node),
	        .source = keep(list, exit->source),
	        .fingerprint = keep(list, exit->fingerprint),
	        .exit_code = exit->exit_code,
	        .restart_count = exit->restart_count,
	        .silent = keep(list, silent == NULL ? NULL : silent->status),
	        .resolved_at = exit->resolved_at,
	};
	/* Once the arena is full every text is NULL, also the last one. */
	if (row.fingerprint == NULL || !make_room(list))
		return false;
	if (keep_json && !keep_object(list, object, &row))
		return false;
	list->rows[list->count++] = row;
	return true;
}

static bool add_chosen(struct exit_list *list, const struct exit_choice *choice,
                       const char *namespace, const json *object, struct error *error)
{
	struct agent_exit exit;
	if (!agent_exit_read(object, &exit, NULL)) {
		list->unreadable++;
		return true;
	}
	if (namespace != NULL && (exit.namespace == NULL || strcmp(exit.namespace, namespace) != 0))
		return true;
	if (!choice->filter(choice->context, &exit) ||
	    add_row(list, object, &exit, choice->keep_json))
		return true;
	return error_set(error, "more than %zu records, or no memory: choose fewer", ROWS_MAX);
}

static bool add_object(struct loading *loading, const json *object, struct error *error)
{
	return add_chosen(loading->list, loading->choice, loading->namespace, object, error);
}

bool exit_list_add(struct exit_list *list, const struct exit_choice *choice, const json *object,
                   struct error *error)
{
	return add_chosen(list, choice, NULL, object, error);
}

void exit_list_clear(struct exit_list *list)
{
	arena_reset(list->arena);
	list->count = 0;
	list->unreadable = 0;
}

static bool add_list(struct loading *loading, const json *root, struct error *error)
{
	for (json *n = json_first(json_get(root, "items")); n != NULL; n = json_next(n))
		if (!add_object(loading, n, error))
			return false;
	return true;
}

/* Oldest first; of the same time, by name. */
static int compare_rows(const void *a, const void *b)
{
	const struct exit_row *left = a;
	const struct exit_row *right = b;
	if (left->time != right->time)
		return left->time < right->time ? -1 : 1;
	int order = strcmp(left->namespace, right->namespace);
	return order != 0 ? order : strcmp(left->name, right->name);
}

/* ---- From a file ---- */

static bool load_file(struct loading *loading, const char *path, struct error *error)
{
	struct documents documents;
	if (!documents_load(path, &documents, error))
		return false;
	bool loaded = true;
	for (size_t i = 0; i < documents.count && loaded; i++) {
		const json *root = documents.items[i].root;
		loaded = json_is_array(json_get(root, "items")) ? add_list(loading, root, error)
		                                                : add_object(loading, root, error);
	}
	documents_free(&documents);
	return loaded;
}

/* ---- From the API server ---- */

void exit_source_path(const struct exit_source *source, const char *query, struct buffer *path)
{
	buffer_append_text(path, "/apis/" AGENT_EXIT_API_VERSION);
	if (source->namespace != NULL) {
		buffer_append_text(path, "/namespaces/");
		url_escape(path, source->namespace);
	}
	buffer_printf(path, "/" AGENT_EXIT_PLURAL "?%s", query);
	if (source->selector != NULL) {
		buffer_append_text(path, "&labelSelector=");
		url_escape(path, source->selector);
	}
}

static bool visit_object(void *context, struct arena *arena, json *item, struct error *error)
{
	(void)arena;
	return add_object(context, item, error);
}

static void restart(void *context)
{
	struct loading *loading = context;
	exit_list_clear(loading->list);
}

static const char *hint(const char *message)
{
	return strstr(message, "could not find the requested resource") == NULL
	               ? ""
	               : " (is the CRD agentexits.lastword.dev installed?)";
}

static bool load_pages(struct loading *loading, const struct exit_source *source,
                       struct error *error)
{
	struct buffer _cleanup_buffer_ path;
	struct error why;
	struct kube_list_visitor visitor = {visit_object, restart, loading,
	                                    &loading->list->resource_version};
	buffer_init(&path, PATH_SIZE_MAX);
	exit_source_path(source, "limit=250", &path);
	if (!buffer_ok(&path))
		return error_set(error, "the label selector is too long, or no memory");
	return kube_list_visit(&source->kubectl, buffer_text(&path), &visitor, &why) ||
	       error_set(error, "%s%s", why.message, hint(why.message));
}

bool exit_list_load(const struct exit_source *source, const struct exit_choice *choice,
                    struct exit_list *list, struct error *error)
{
	struct loading loading = {
	        .list = list,
	        .choice = choice,
	        .namespace = source->path != NULL ? source->namespace : NULL,
	};
	*list = (struct exit_list){.arena = arena_new(LIST_ARENA)};
	buffer_init(&list->resource_version, VERSION_SIZE_MAX);
	if (list->arena == NULL)
		return error_set(error, "no memory");
	if (source->path != NULL ? !load_file(&loading, source->path, error)
	                         : !load_pages(&loading, source, error))
		return false;
	if (list->count > 0)
		qsort(list->rows, list->count, sizeof *list->rows, compare_rows);
	return true;
}

void exit_list_free(struct exit_list *list)
{
	arena_free(list->arena);
	buffer_free(&list->resource_version);
	free(list->rows);
	*list = (struct exit_list){0};
}
