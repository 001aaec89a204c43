#include "observer/record/record_gc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/kube/agent_exit.h"
#include "lib/base/buffer.h"
#include "lib/http/url.h"
#include "lib/document/json.h"
#include "lib/base/log.h"
#include "observer/pod/pod.h"
#include "observer/record/record_writer.h"

#define PAGE      500
#define PAGE_MAX  ((size_t)8 * 1024 * 1024)
#define ARENA_MAX ((size_t)64 * 1024 * 1024)
#define FIRST     (60 * SECOND)
#define METADATA                                                                        \
	"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/" \
	"json"

static void ask_page(void *context);

void collector_init(struct collector *collector, struct engine *engine, struct meters *meters,
                    int64_t ttl, size_t cap)
{
	*collector = (struct collector){
	        .engine = engine,
	        .meters = meters,
	        .ttl = ttl,
	        .cap = cap,
	        .timer = {.fire = ask_page, .context = collector},
	};
}

static void forget_namespace(struct collector *collector)
{
	for (size_t i = 0; i < collector->kept_count; i++)
		free(collector->kept[i].name);
	collector->kept_count = 0;
	collector->namespace[0] = '\0';
}

static void forget_round(struct collector *collector)
{
	forget_namespace(collector);
	free(collector->kept);
	free(collector->next_page);
	collector->kept = NULL;
	collector->kept_size = 0;
	collector->next_page = NULL;
}

void collector_free(struct collector *collector)
{
	if (collector->engine == NULL)
		return;
	engine_cancel(collector->engine, collector->request);
	engine_clear_timer(collector->engine, &collector->timer);
	forget_round(collector);
	collector->engine = NULL;
}

static void later(struct collector *collector, int64_t delay)
{
	engine_set_timer(collector->engine, &collector->timer, collector->engine->now + delay);
}

void collector_set_leader(struct collector *collector, bool leader)
{
	collector->leader = leader;
	if (leader && collector->request == NULL && collector->deleting == 0)
		later(collector, FIRST);
}

/* ---- Deleting ---- */

/* The page is done: the next one, or the next round. */
static void page_done(struct collector *collector)
{
	if (collector->next_page != NULL && collector->leader) {
		later(collector, 0);
		return;
	}
	forget_round(collector);
	if (collector->leader)
		later(collector, COLLECT_INTERVAL);
}

static void deleted(void *context, struct kube_response *response, const struct error *error)
{
	struct collector *collector = context;
	collector->deleting--;
	if (error == NULL)
		meters_count(collector->meters, COUNTER_COLLECTED);
	else if (response->status != 404)
		log_message(LOG_DEBUG, "a record could not be deleted, the next round will",
		            "error", error->message, NULL);
	if (collector->deleting == 0 && collector->request == NULL)
		page_done(collector);
}

static void delete_record(struct collector *collector, const char *name)
{
	const struct request request = {
	        .ask = {.method = "DELETE", .path = publish_path(collector->namespace, name, "")},
	        .finish = deleted,
	        .context = collector,
	};
	if (engine_request(collector->engine, &request) != NULL)
		collector->deleting++;
}

/* ---- The newest of a namespace: a heap with the oldest of them first ---- */

static void swap(struct kept_record *a, struct kept_record *b)
{
	struct kept_record record = *a;
	*a = *b;
	*b = record;
}

static void sift_up(struct kept_record *heap, size_t index)
{
	while (index > 0 && heap[index].created_at < heap[(index - 1) / 2].created_at) {
		swap(&heap[index], &heap[(index - 1) / 2]);
		index = (index - 1) / 2;
	}
}

static void sift_down(struct kept_record *heap, size_t count)
{
	for (size_t index = 0;;) {
		size_t child = index * 2 + 1;
		if (child >= count)
			return;
		if (child + 1 < count && heap[child + 1].created_at < heap[child].created_at)
			child++;
		if (heap[index].created_at <= heap[child].created_at)
			return;
		swap(&heap[index], &heap[child]);
		index = child;
	}
}

static bool make_room(struct collector *collector)
{
	if (collector->kept_count < collector->kept_size)
		return true;
	size_t size = collector->kept_size == 0 ? 256 : collector->kept_size * 2;
	struct kept_record *kept = reallocarray(collector->kept, size, sizeof *collector->kept);
	if (kept == NULL)
		return false;
	collector->kept = kept;
	collector->kept_size = size;
	return true;
}

static void keep(struct collector *collector, const char *name, int64_t created_at)
{
	struct kept_record *oldest = collector->kept;
	bool full = collector->kept_count == collector->cap;
	if (full && created_at <= oldest->created_at) {
		delete_record(collector, name);
		return;
	}
	if (!full && !make_room(collector))
		return;
	struct kept_record record = {.created_at = created_at, .name = strdup(name)};
	if (record.name == NULL)
		return;
	if (full) {
		delete_record(collector, oldest->name);
		free(oldest->name);
		*oldest = record;
		sift_down(collector->kept, collector->kept_count);
	} else {
		collector->kept[collector->kept_count] = record;
		sift_up(collector->kept, collector->kept_count++);
	}
}

static void take_record(struct collector *collector, const json *metadata)
{
	const char *namespace = json_get_string_or(metadata, "namespace", "");
	const char *name = json_get_string_or(metadata, "name", "");
	int64_t created_at = pod_time(metadata, "creationTimestamp");
	if (*namespace == '\0' || *name == '\0' || created_at == 0 ||
	    strlen(namespace) >= sizeof collector->namespace)
		return;
	if (strcmp(namespace, collector->namespace) != 0) {
		forget_namespace(collector);
		snprintf(collector->namespace, sizeof collector->namespace, "%s", namespace);
	}
	if (collector->engine->wall - created_at > collector->ttl)
		delete_record(collector, name);
	else
		keep(collector, name, created_at);
}

/* ---- The list ---- */

static bool take_page(struct collector *collector, const struct kube_response *response)
{
	json *root;
	struct arena *_cleanup_arena_ arena = arena_new(ARENA_MAX);
	if (arena == NULL || json_parse(arena, buffer_text(&response->body), response->body.length,
	                                0, &root, NULL) == JSON_INVALID)
		return false;
	const char *next = json_get_string_or(json_get(root, "metadata"), "continue", "");
	free(collector->next_page);
	collector->next_page = *next == '\0' ? NULL : url_escaped(next);
	for (json *n = json_first(json_get(root, "items")); n != NULL; n = json_next(n))
		take_record(collector, json_get(n, "metadata"));
	return true;
}

static void page_came(void *context, struct kube_response *response, const struct error *error)
{
	struct collector *collector = context;
	collector->request = NULL;
	if (error != NULL || !take_page(collector, response)) {
		if (error != NULL)
			log_message(LOG_WARNING, "listing records failed, it is tried again later",
			            "error", error->message, NULL);
		forget_round(collector);
		if (collector->leader)
			later(collector, COLLECT_INTERVAL);
		return;
	}
	if (collector->deleting == 0)
		page_done(collector);
}

static void ask_page(void *context)
{
	struct collector *collector = context;
	if (!collector->leader || collector->request != NULL || collector->deleting > 0)
		return;
	const struct request request = {
	        .ask = {.path = engine_text("/apis/" AGENT_EXIT_API_VERSION "/" AGENT_EXIT_PLURAL
	                                    "?limit=%d%s%s",
	                                    PAGE, collector->next_page == NULL ? "" : "&continue=",
	                                    collector->next_page == NULL ? ""
	                                                                 : collector->next_page),
	                .accept = METADATA,
	                .response_max = PAGE_MAX},
	        .finish = page_came,
	        .context = collector,
	};
	collector->request = engine_request(collector->engine, &request);
	if (collector->request == NULL)
		later(collector, COLLECT_INTERVAL);
}
