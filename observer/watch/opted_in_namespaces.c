#include "observer/watch/opted_in_namespaces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/timestamp.h"
#include "lib/kube/names.h"

#define COUNT_MAX    ((size_t)100000)
#define CHANGES_WAIT (SECOND / 2) /* several changes are announced as one */

/* ---- What is read of a namespace ---- */

#define END                 \
	{                   \
		.key = NULL \
	}
#define MANAGERS_MAX 100
#define CONTINUE_MAX 8192

static const struct json_filter nothing[] = {END};
static const struct json_filter labels[] = {{.key = "f:" KEY_INJECT, .members = nothing}, END};
static const struct json_filter field_metadata[] = {{.key = "f:labels", .members = labels}, END};
static const struct json_filter fields[] = {{.key = "f:metadata", .members = field_metadata}, END};
static const struct json_filter manager[] = {
        {.key = "time", .text_max = 40}, {.key = "fieldsV1", .members = fields}, END};
static const struct json_filter metadata_filter[] = {
        {.key = "name", .text_max = 64},
        {.key = "resourceVersion"},
        {.key = "managedFields", .members = manager, .elements_max = MANAGERS_MAX},
        END,
};
static const struct json_filter namespace[] = {
        {.key = "metadata", .members = metadata_filter},
        {.key = "code"}, /* these two are of the Status in an ERROR event */
        {.key = "reason"},
        END,
};
static const struct json_filter list_metadata[] = {
        {.key = "resourceVersion"}, {.key = "continue", .text_max = CONTINUE_MAX}, END};
static const struct json_filter list_filter[] = {
        {.key = "metadata", .members = list_metadata},
        {.key = "items", .members = namespace, .each = true},
        END,
};
static const struct json_filter watch_filter[] = {
        {.key = "type"}, {.key = "object", .members = namespace}, END};

static const struct watch_target watch_namespaces = {
        .path = "/api/v1/namespaces", .list_filter = list_filter, .watch_filter = watch_filter};

/* ---- Names ---- */

static int compare(const void *key, const void *item)
{
	return strcmp(key, ((const struct opted_in_namespace *)item)->name);
}

static struct opted_in_namespace *find(const struct opted_in_namespaces *namespaces,
                                       const char *name)
{
	return namespaces->count == 0 ? NULL
	                              : bsearch(name, namespaces->items, namespaces->count,
	                                        sizeof *namespaces->items, compare);
}

struct opt_in opted_in_namespaces_find(const struct opted_in_namespaces *namespaces,
                                       const char *name)
{
	const struct opted_in_namespace *item = find(namespaces, name);
	struct opt_in found = {.opted_in = item != NULL};
	if (item != NULL)
		found.since = item->since;
	return found;
}

static void announce(struct opted_in_namespaces *namespaces)
{
	int64_t now = namespaces->loop->now;
	int64_t due = now + CHANGES_WAIT;
	int64_t affordable = namespaces->paid_until - (OPTED_IN_BURST - 1) * OPTED_IN_APART;
	if (namespaces->announcement.index == 0)
		event_loop_set_timer(namespaces->loop, &namespaces->announcement,
		                     affordable > due ? affordable : due);
}

static void announcement_due(void *context)
{
	struct opted_in_namespaces *namespaces = context;
	int64_t now = namespaces->loop->now;
	int64_t from = namespaces->paid_until > now ? namespaces->paid_until : now;
	namespaces->paid_until = from + OPTED_IN_APART;
	namespaces->changed(namespaces->context);
}

/* ---- The sorted array ---- */

static void take_out(struct opted_in_namespaces *namespaces, struct opted_in_namespace *item)
{
	size_t behind = namespaces->count - (size_t)(item - namespaces->items) - 1;
	memmove(item, item + 1, behind * sizeof *item);
	namespaces->count--;
	announce(namespaces);
}

static bool has_room(struct opted_in_namespaces *namespaces)
{
	if (namespaces->count < namespaces->size)
		return true;
	size_t size = namespaces->size == 0 ? 16 : namespaces->size * 2;
	struct opted_in_namespace *items =
	        namespaces->size >= COUNT_MAX
	                ? NULL
	                : realloc(namespaces->items, size * sizeof *namespaces->items);
	if (items == NULL)
		return false;
	namespaces->items = items;
	namespaces->size = size;
	return true;
}

/* NULL: no memory, or no name that a namespace has. */
static struct opted_in_namespace *put_in(struct opted_in_namespaces *namespaces, const char *name)
{
	size_t at = 0;
	if (strlen(name) >= sizeof namespaces->items->name || !has_room(namespaces))
		return NULL;
	while (at < namespaces->count && strcmp(namespaces->items[at].name, name) < 0)
		at++;
	struct opted_in_namespace *item = &namespaces->items[at];
	memmove(item + 1, item, (namespaces->count - at) * sizeof *item);
	namespaces->count++;
	*item = (struct opted_in_namespace){.list = namespaces->list};
	snprintf(item->name, sizeof item->name, "%s", name);
	announce(namespaces);
	return item;
}

/* ---- A namespace's object ---- */

/* When whoever owns the label wrote it last; of several the first. */
static int64_t label_time(const json *metadata)
{
	int64_t first = 0;
	for (const json *n = json_first(json_get(metadata, "managedFields")); n != NULL;
	     n = json_next(n)) {
		int64_t time;
		const char *text = json_get_string(n, "time");
		if (json_find(n, "fieldsV1", "f:metadata", "f:labels", "f:" KEY_INJECT, NULL) ==
		            NULL ||
		    text == NULL || !timestamp_parse(text, &time))
			continue;
		if (first == 0 || time < first)
			first = time;
	}
	return first;
}

/* ---- The watch ---- */

static void begin(void *context)
{
	struct opted_in_namespaces *namespaces = context;
	namespaces->list++;
}

static void take(void *context, enum watch_event event, struct arena *arena, const json *object)
{
	(void)arena;
	struct opted_in_namespaces *namespaces = context;
	const json *metadata = json_get(object, "metadata");
	const char *name = json_get_string(metadata, "name");
	if (name == NULL || strcmp(name, namespaces->own) == 0 || strcmp(name, "kube-system") == 0)
		return;
	struct opted_in_namespace *item = find(namespaces, name);
	if (event == WATCH_DELETED) { /* also of one that has lost the label */
		if (item != NULL)
			take_out(namespaces, item);
		return;
	}
	if (item == NULL)
		item = put_in(namespaces, name);
	if (item == NULL)
		return;
	item->list = namespaces->list;
	item->since = label_time(metadata);
}

static void complete(void *context)
{
	struct opted_in_namespaces *namespaces = context;
	for (size_t i = namespaces->count; i > 0; i--)
		if (namespaces->items[i - 1].list != namespaces->list)
			take_out(namespaces, &namespaces->items[i - 1]);
	if (!namespaces->complete)
		announce(namespaces);
	namespaces->complete = true;
}

static bool may_read(void *context)
{
	(void)context;
	return true;
}

bool opted_in_namespaces_init(struct opted_in_namespaces *namespaces, struct event_loop *loop,
                              const char *own, int64_t idle, void (*changed)(void *context),
                              void *context)
{
	const struct watch_handler handler = {.begin = begin,
	                                      .take = take,
	                                      .complete = complete,
	                                      .may_read = may_read,
	                                      .context = namespaces};
	*namespaces = (struct opted_in_namespaces){
	        .loop = loop,
	        .own = own,
	        .announcement = {.fire = announcement_due, .context = namespaces},
	        .changed = changed,
	        .context = context,
	};
	return watcher_init(&namespaces->watcher, loop, &watch_namespaces, KEY_INJECT "=enabled",
	                    idle, &handler);
}

void opted_in_namespaces_start(struct opted_in_namespaces *namespaces)
{
	watcher_start(&namespaces->watcher);
}

void opted_in_namespaces_free(struct opted_in_namespaces *namespaces)
{
	if (namespaces->loop == NULL)
		return;
	event_loop_clear_timer(namespaces->loop, &namespaces->announcement);
	watcher_free(&namespaces->watcher);
	free(namespaces->items);
	*namespaces = (struct opted_in_namespaces){.loop = NULL};
}
