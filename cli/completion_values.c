#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/completion.h"
#include "lib/base/buffer.h"

#define NAME_MAX_BYTES ((size_t)512)
#define RESPONSE_MAX   ((size_t)64 * 1024 * 1024)
#define PATH_SIZE_MAX  ((size_t)4096)
#define VALUES_MAX     ((size_t)4096)
#define NAMESPACE_SIZE 64

/* A set of values. */
struct values {
	struct arena *arena;
	const char *begin;
	const char **items;
	size_t count;
};

/* What the shell would have to quote, or the terminal would obey, is not offered. */
static bool is_plain(const char *text)
{
	return strspn(text,
	              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/:@") ==
	       strlen(text);
}

static void add_value(struct values *values, const char *text)
{
	if (text == NULL || text[0] == '\0' || values->count == VALUES_MAX || !is_plain(text) ||
	    strncmp(text, values->begin, strlen(values->begin)) != 0)
		return;
	const char *kept = arena_copy(values->arena, text, strlen(text));
	if (kept != NULL)
		values->items[values->count++] = kept;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_values(struct values *values, struct buffer *out)
{
	qsort((void *)values->items, values->count, sizeof *values->items, compare);
	for (size_t i = 0; i < values->count; i++)
		if (i == 0 || strcmp(values->items[i - 1], values->items[i]) != 0)
			buffer_printf(out, "%s\n", values->items[i]);
}

/* ---- Namespaces and contexts ---- */

static void read_namespaces(const struct kubectl *kubectl, struct values *values)
{
	struct error ignored;
	const json *list = kubectl_get_json(kubectl, "/api/v1/namespaces?limit=1000", RESPONSE_MAX,
	                                    values->arena, &ignored);
	for (const json *n = json_first(json_get(list, "items")); n != NULL; n = json_next(n))
		add_value(values, json_get_string(json_get(n, "metadata"), "name"));
}

static void read_contexts(const struct kubectl *kubectl, struct values *values)
{
	struct buffer _cleanup_buffer_ names;
	buffer_init(&names, RESPONSE_MAX);
	if (!kubectl_contexts(kubectl, &names, NULL))
		return;
	char *rest = NULL;
	char *text = buffer_steal(&names);
	for (char *name = text == NULL ? NULL : strtok_r(text, "\n", &rest); name != NULL;
	     name = strtok_r(NULL, "\n", &rest))
		add_value(values, name);
	free(text);
}

/* ---- Records ---- */

static bool take_all(void *context, const struct agent_exit *exit)
{
	(void)context;
	(void)exit;
	return true;
}

/* KIND/NAME as lastword why takes it: the kind in small letters. */
static void add_owner(struct values *values, const char *owner)
{
	char text[NAME_MAX_BYTES];
	size_t length = strlen(owner);
	if (strchr(owner, '/') == NULL || length >= sizeof text)
		return;
	memcpy(text, owner, length + 1);
	for (char *c = text; *c != '/'; c++)
		*c = (char)tolower((unsigned char)*c);
	add_value(values, text);
}

static void add_task(struct values *values, const char *task)
{
	char text[NAME_MAX_BYTES];
	if (task[0] != '\0' && strlen(task) + sizeof "task/" <= sizeof text) {
		snprintf(text, sizeof text, "task/%s", task);
		add_value(values, text);
	}
}

static void add_row(struct values *values, enum manual_value kind, const struct exit_row *row)
{
	switch (kind) {
	case VALUE_AGENT:
		add_value(values, row->agent);
		break;
	case VALUE_CAUSE:
		add_value(values, row->error_type);
		break;
	case VALUE_CONTAINER:
		add_value(values, row->container);
		break;
	default:
		add_value(values, row->pod);
		add_owner(values, row->owner);
		add_task(values, row->task_id);
	}
}

/* One page is enough: a person who waits for more would rather type. */
static void read_records(const struct exit_source *source, enum manual_value kind,
                         struct values *values)
{
	const struct exit_choice choice = {take_all, NULL, false};
	struct buffer _cleanup_buffer_ path;
	struct exit_list _cleanup_exit_list_ list = {.arena = arena_new(RESPONSE_MAX)};
	struct error ignored;
	buffer_init(&path, PATH_SIZE_MAX);
	exit_source_path(source, "limit=500", &path);
	if (list.arena == NULL || !buffer_ok(&path))
		return;
	const json *root = kubectl_get_json(&source->kubectl, buffer_text(&path), RESPONSE_MAX,
	                                    values->arena, &ignored);
	for (const json *n = json_first(json_get(root, "items")); n != NULL; n = json_next(n))
		if (!exit_list_add(&list, &choice, n, &ignored))
			break;
	for (size_t i = 0; i < list.count; i++)
		add_row(values, kind, &list.rows[i]);
}

void completion_values(struct exit_source *source, bool all_namespaces, enum manual_value kind,
                       const char *begin, struct buffer *out)
{
	struct arena *_cleanup_arena_ arena = arena_new(4 * RESPONSE_MAX);
	const char **items = calloc(VALUES_MAX, sizeof *items);
	struct values values = {.arena = arena, .begin = begin, .items = items};
	char namespace[NAMESPACE_SIZE];
	struct buffer name;
	buffer_init_fixed(&name, namespace, sizeof namespace);
	source->kubectl.timeout = "5s";
	if (arena == NULL || items == NULL || source->path != NULL) {
		free((void *)items);
		return;
	}
	if (kind == VALUE_NAMESPACE) {
		read_namespaces(&source->kubectl, &values);
	} else if (kind == VALUE_CONTEXT) {
		read_contexts(&source->kubectl, &values);
	} else {
		if (source->namespace == NULL && !all_namespaces) {
			kubectl_namespace(&source->kubectl, &name);
			source->namespace = buffer_text(&name);
		}
		read_records(source, kind, &values);
	}
	write_values(&values, out);
	free((void *)items);
}
