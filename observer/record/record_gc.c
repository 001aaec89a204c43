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

#define PAGE       500
#define WHOLE_PAGE 20 /* of records that are as large as they can be */
#define PAGE_MAX   ((size_t)8 * 1024 * 1024)
#define ARENA_MAX  ((size_t)64 * 1024 * 1024)
#define FIRST      (15 * SECOND)
#define METADATA_LIST                                                                   \
	"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/" \
	"json"

static void request_page(void *context);

void record_gc_init(struct record_gc *gc, struct event_loop *loop, struct observer_metrics *metrics,
                    const char *only, int64_t ttl, size_t cap,
                    void (*found)(void *context, const struct agent_exit *exit), void *context)
{
	*gc = (struct record_gc){
	        .loop = loop,
	        .metrics = metrics,
	        .only = only,
	        .ttl = ttl,
	        .cap = cap,
	        .found = found,
	        .context = context,
	        .timer = {.fire = request_page, .context = gc},
	};
}

static void forget_namespace(struct record_gc *gc)
{
	for (size_t i = 0; i < gc->kept_count; i++)
		free(gc->kept[i].name);
	gc->kept_count = 0;
	gc->namespace[0] = '\0';
}

static void forget_pass(struct record_gc *gc)
{
	forget_namespace(gc);
	free(gc->kept);
	free(gc->next_page);
	gc->kept = NULL;
	gc->kept_size = 0;
	gc->next_page = NULL;
}

void record_gc_free(struct record_gc *gc)
{
	if (gc->loop == NULL)
		return;
	event_loop_cancel_request(gc->loop, gc->request);
	event_loop_clear_timer(gc->loop, &gc->timer);
	forget_pass(gc);
	gc->loop = NULL;
}

static void schedule(struct record_gc *gc, int64_t delay)
{
	event_loop_set_timer(gc->loop, &gc->timer, gc->loop->now + delay);
}

void record_gc_set_leader(struct record_gc *gc, bool leader)
{
	gc->leader = leader;
	gc->knows = false;
	if (leader && gc->request == NULL && gc->deleting == 0)
		schedule(gc, FIRST);
}

void record_gc_reread(struct record_gc *gc)
{
	bool runs = gc->request != NULL || gc->deleting > 0 || gc->next_page != NULL;
	if (!gc->leader)
		return;
	gc->reread = runs;
	if (runs)
		return;
	gc->knows = false;
	schedule(gc, 0);
}

/* ---- Deleting ---- */

/* The page is done: on to the next one, or to the next pass. */
static void page_done(struct record_gc *gc)
{
	if (gc->next_page != NULL && gc->leader) {
		schedule(gc, 0);
		return;
	}
	forget_pass(gc);
	gc->knows = gc->leader && !gc->reread;
	gc->reread = false;
	if (gc->leader)
		schedule(gc, gc->knows ? RECORD_GC_INTERVAL : 0);
}

static void deleted(void *context, struct kube_response *response, const struct error *error)
{
	struct record_gc *gc = context;
	gc->deleting--;
	if (error == NULL)
		observer_metrics_count(gc->metrics, COUNTER_DELETED_RECORDS);
	else if (response->status != 404)
		log_message(LOG_DEBUG, "a record could not be deleted, the next pass tries again",
		            "error", error->message, NULL);
	if (gc->deleting == 0 && gc->request == NULL)
		page_done(gc);
}

static void delete_record(struct record_gc *gc, const char *name)
{
	const struct request request = {
	        .kube = {.method = "DELETE", .path = record_path(gc->namespace, name, "")},
	        .finish = deleted,
	        .context = gc,
	};
	if (event_loop_add_request(gc->loop, &request) != NULL)
		gc->deleting++;
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

static bool make_room(struct record_gc *gc)
{
	if (gc->kept_count < gc->kept_size)
		return true;
	size_t size = gc->kept_size == 0 ? 256 : gc->kept_size * 2;
	struct kept_record *kept = reallocarray(gc->kept, size, sizeof *gc->kept);
	if (kept == NULL)
		return false;
	gc->kept = kept;
	gc->kept_size = size;
	return true;
}

static void keep(struct record_gc *gc, const char *name, int64_t created_at)
{
	struct kept_record *oldest = gc->kept;
	bool full = gc->kept_count == gc->cap;
	if (full && created_at <= oldest->created_at) {
		delete_record(gc, name);
		return;
	}
	if (!full && !make_room(gc))
		return;
	struct kept_record record = {.created_at = created_at, .name = strdup(name)};
	if (record.name == NULL)
		return;
	if (full) {
		delete_record(gc, oldest->name);
		free(oldest->name);
		*oldest = record;
		sift_down(gc->kept, gc->kept_count);
	} else {
		gc->kept[gc->kept_count] = record;
		sift_up(gc->kept, gc->kept_count++);
	}
}

/* Whether it stays, as far as is known yet. */
static bool take_record(struct record_gc *gc, const json *metadata)
{
	const char *namespace = json_get_string_or(metadata, "namespace", "");
	const char *name = json_get_string_or(metadata, "name", "");
	int64_t created_at = pod_time(metadata, "creationTimestamp");
	if (*namespace == '\0' || *name == '\0' || created_at == 0 ||
	    strlen(namespace) >= sizeof gc->namespace)
		return false;
	if (strcmp(namespace, gc->namespace) != 0) {
		forget_namespace(gc);
		snprintf(gc->namespace, sizeof gc->namespace, "%s", namespace);
	}
	if (gc->loop->wall - created_at > gc->ttl)
		delete_record(gc, name);
	else
		keep(gc, name, created_at);
	return gc->loop->wall - created_at <= gc->ttl;
}

/* ---- The list ---- */

static void take_object(struct record_gc *gc, const json *object)
{
	struct agent_exit exit;
	bool stays = take_record(gc, json_get(object, "metadata"));
	if (stays && !gc->knows && agent_exit_read(object, &exit, NULL) && exit.namespace != NULL)
		gc->found(gc->context, &exit);
}

static bool take_page(struct record_gc *gc, const struct kube_response *response)
{
	json *root;
	struct arena *_cleanup_arena_ arena = arena_new(ARENA_MAX);
	if (arena == NULL || json_parse(arena, buffer_text(&response->body), response->body.length,
	                                0, &root, NULL) == JSON_INVALID)
		return false;
	const char *next = json_get_string_or(json_get(root, "metadata"), "continue", "");
	free(gc->next_page);
	gc->next_page = *next == '\0' ? NULL : url_escaped(next);
	for (json *n = json_first(json_get(root, "items")); n != NULL; n = json_next(n))
		take_object(gc, n);
	return true;
}

static void page_received(void *context, struct kube_response *response, const struct error *error)
{
	struct record_gc *gc = context;
	gc->request = NULL;
	if (error != NULL || !take_page(gc, response)) {
		if (error != NULL)
			log_message(LOG_WARNING,
			            "listing records failed, the next pass tries again", "error",
			            error->message, NULL);
		forget_pass(gc);
		if (gc->leader)
			schedule(gc, gc->knows ? RECORD_GC_INTERVAL : FIRST);
		return;
	}
	if (gc->deleting == 0)
		page_done(gc);
}

static void request_page(void *context)
{
	struct record_gc *gc = context;
	if (!gc->leader || gc->request != NULL || gc->deleting > 0)
		return;
	const struct request request = {
	        .kube = {.path = request_path("/apis/" AGENT_EXIT_API_VERSION
	                                      "%s%s/" AGENT_EXIT_PLURAL "?limit=%d%s%s",
	                                      gc->only == NULL ? "" : "/namespaces/",
	                                      gc->only == NULL ? "" : gc->only,
	                                      gc->knows ? PAGE : WHOLE_PAGE,
	                                      gc->next_page == NULL ? "" : "&continue=",
	                                      gc->next_page == NULL ? "" : gc->next_page),
	                 .accept = gc->knows ? METADATA_LIST : NULL,
	                 .response_max = PAGE_MAX},
	        .finish = page_received,
	        .context = gc,
	};
	gc->request = event_loop_add_request(gc->loop, &request);
	if (gc->request == NULL)
		schedule(gc, RECORD_GC_INTERVAL);
}
