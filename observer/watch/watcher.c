#include "observer/watch/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http/url.h"
#include "lib/base/log.h"
#include "observer/pod/pod_filter.h"

#define PAGE_PODS      500
#define PAGE_MAX_BYTES ((size_t)64 * 1024 * 1024) /* what the API server holds for a response */
#define LIST_TIMEOUT   (60 * SECOND)
/* The server is asked to end a watch after 5 to 10 minutes, so that the load is spread anew. */
#define WATCH_SECONDS 300

static void step(void *context);

/* True: the filters are sound (tests/unit/test_pod_filter.c). */
static bool start_stream(struct watcher *watcher, const struct json_filter *filter)
{
	struct error error;
	watcher->invalid = watcher->overflow = false;
	return json_stream_init(&watcher->stream, filter, POD_FILTER_EXTRA_MAX, watcher->storage,
	                        POD_FILTER_STORAGE, &error);
}

const struct watch_target watch_pods = {
        .path = "/api/v1/pods",
        .list_filter = pod_list_filter,
        .watch_filter = pod_watch_filter,
};

/* As a query has them: the label selector, and the field selector as a further parameter. */
static char *escaped_selectors(const char *labels, const char *fields)
{
	char *escaped_labels = url_escaped(labels);
	char *escaped_fields = fields == NULL ? NULL : url_escaped(fields);
	if (fields == NULL || escaped_labels == NULL || escaped_fields == NULL) {
		free(escaped_fields);
		if (fields == NULL)
			return escaped_labels;
		free(escaped_labels);
		return NULL;
	}
	char *both = request_path("%s&fieldSelector=%s", escaped_labels, escaped_fields);
	free(escaped_labels);
	free(escaped_fields);
	return both;
}

bool watcher_init(struct watcher *watcher, struct event_loop *loop,
                  const struct watch_target *target, const char *selector, int64_t idle,
                  const struct watch_handler *handler)
{
	*watcher = (struct watcher){
	        .loop = loop,
	        .handler = *handler,
	        .target = *target,
	        .selector = escaped_selectors(selector, target->fields),
	        .idle = idle,
	        .page = PAGE_PODS,
	        .timer = {.fire = step, .context = watcher},
	        .arena = arena_new(POD_FILTER_ARENA),
	        .storage = malloc(POD_FILTER_STORAGE),
	        .progress_at = loop->now,
	};
	if (watcher->selector != NULL && watcher->arena != NULL && watcher->storage != NULL &&
	    start_stream(watcher, target->list_filter) &&
	    start_stream(watcher, target->watch_filter))
		return true;
	watcher_free(watcher);
	return false;
}

void watcher_free(struct watcher *watcher)
{
	if (watcher->loop == NULL)
		return;
	event_loop_cancel_request(watcher->loop, watcher->request);
	event_loop_clear_timer(watcher->loop, &watcher->timer);
	arena_free(watcher->arena);
	free(watcher->storage);
	free(watcher->selector);
	free(watcher->next_page);
	*watcher = (struct watcher){.loop = NULL};
}

bool watcher_is_current(const struct watcher *watcher)
{
	return watcher->synced && watcher_silence(watcher) <= 2 * watcher->idle + 60 * SECOND;
}

int64_t watcher_silence(const struct watcher *watcher)
{
	return watcher->loop == NULL ? 0 : watcher->loop->now - watcher->progress_at;
}

static void made_progress(struct watcher *watcher)
{
	watcher->failures = 0;
	watcher->progress_at = watcher->loop->now;
}

static void schedule(struct watcher *watcher, int64_t delay)
{
	event_loop_set_timer(watcher->loop, &watcher->timer, watcher->loop->now + delay);
}

static void forget_list(struct watcher *watcher)
{
	watcher->version[0] = '\0';
	free(watcher->next_page);
	watcher->next_page = NULL;
	watcher->listing = false;
}

/* Something went wrong: try again later. response NULL: it was not what an API server sends. */
static void retry(struct watcher *watcher, const struct kube_response *response,
                  const struct error *error)
{
	struct kube_response invalid = {.retry_after = -1};
	if (response == NULL)
		response = &invalid;
	watcher->failures++;
	int64_t delay = kube_retry_delay("GET", response, watcher->failures,
	                                 event_loop_random(watcher->loop));
	if (delay < 0) { /* 403, for example: that changes only when a person acts */
		invalid.retry_after = response->retry_after;
		delay = kube_retry_delay("GET", &invalid, watcher->failures + 4,
		                         event_loop_random(watcher->loop));
	}
	if (watcher->failures > 1 || response->status != 0)
		log_message(LOG_WARNING, "a watch failed, trying again", "path",
		            watcher->target.path, "error",
		            error == NULL ? "the response is not such a list" : error->message,
		            NULL);
	schedule(watcher, delay);
}

/* ---- Pods ---- */

/* The tree of what was kept; NULL: no memory. */
static json *tree_of(struct watcher *watcher, const struct json_piece *piece)
{
	json *root;
	arena_reset(watcher->arena);
	if (json_parse(watcher->arena, piece->text, piece->length, 0, &root, NULL) == JSON_INVALID)
		return NULL;
	return root;
}

static void take_pod(struct watcher *watcher, enum watch_event event, const json *object, bool cut)
{
	static struct log_limit limit;
	uint64_t dropped;
	const json *metadata = json_get(object, "metadata");
	watcher->cut_pods += cut;
	if (cut && log_limit_pass(&limit, &dropped))
		log_message(LOG_WARNING, "an object is too large to be read whole", "namespace",
		            json_get_string_or(metadata, "namespace", ""), "name",
		            json_get_string_or(metadata, "name", ""), NULL);
	watcher->handler.take(watcher->handler.context, event, watcher->arena, object);
}

/* ---- The list ---- */

/* The list itself, behind its pods: its version and where it goes on. */
static bool take_list(struct watcher *watcher, const json *root)
{
	const json *metadata = json_get(root, "metadata");
	const char *version = json_get_string_or(metadata, "resourceVersion", "");
	const char *next = json_get_string_or(metadata, "continue", "");
	char *token = *next == '\0' ? NULL : url_escaped(next);
	if (*version == '\0' || strlen(version) >= sizeof watcher->version ||
	    (*next != '\0' && token == NULL)) {
		free(token);
		return false;
	}
	free(watcher->next_page);
	watcher->next_page = token;
	/* All pages of a list have the version of the first one. */
	if (watcher->version[0] == '\0')
		snprintf(watcher->version, sizeof watcher->version, "%s", version);
	return true;
}

static bool take_page(void *context, const struct json_piece *piece)
{
	struct watcher *watcher = context;
	json *root = tree_of(watcher, piece);
	if (root == NULL || (!piece->element && !take_list(watcher, root))) {
		watcher->invalid = true;
		return false;
	}
	if (piece->element) {
		watcher->page_pods++;
		take_pod(watcher, WATCH_LISTED, root, piece->cut);
	}
	return true;
}

static bool page_receive(void *context, const char *bytes, size_t length)
{
	struct watcher *watcher = context;
	struct error error;
	watcher->page_bytes += length;
	if (watcher->page_bytes > PAGE_MAX_BYTES && watcher->page > 1) {
		watcher->overflow = true;
		return false;
	}
	bool more = json_stream_feed(&watcher->stream, bytes, length, take_page, watcher, &error);
	watcher->invalid = watcher->invalid || json_stream_failed(&watcher->stream);
	return more;
}

/* The next page has at most half as many pods, and no more than this one got. */
static void shrink_page(struct watcher *watcher)
{
	unsigned half = watcher->page / 2;
	unsigned most =
	        watcher->page_pods > 0 && watcher->page_pods < half ? watcher->page_pods : half;
	watcher->page = most > 0 ? most : 1;
}

static void grow_page(struct watcher *watcher)
{
	if (watcher->page_bytes < PAGE_MAX_BYTES / 4)
		watcher->page = watcher->page < PAGE_PODS / 2 ? watcher->page * 2 : PAGE_PODS;
}

static void page_ended(void *context, struct kube_response *response, const struct error *error)
{
	struct watcher *watcher = context;
	bool complete = error == NULL && !watcher->invalid && watcher->stream.objects == 1 &&
	                json_stream_is_between(&watcher->stream);
	watcher->request = NULL;
	arena_reset(watcher->arena);
	if (complete) {
		grow_page(watcher);
		watcher->failures = 0;
		if (watcher->next_page == NULL) {
			watcher->listing = false;
			watcher->synced = true;
			made_progress(watcher);
			watcher->handler.complete(watcher->handler.context);
			if (watcher->relist)
				forget_list(watcher);
			watcher->relist = false;
		}
		schedule(watcher, 0);
		return;
	}
	if (error != NULL && response->status == 410)
		forget_list(watcher);
	/* Broken off in the middle, by us or in its time. */
	if (watcher->page_bytes > 0)
		shrink_page(watcher);
	if (watcher->overflow)
		schedule(watcher, 0);
	else
		retry(watcher, error == NULL || watcher->invalid ? NULL : response,
		      watcher->invalid ? NULL : error);
}

static void request_page(struct watcher *watcher)
{
	if (!watcher->listing) {
		watcher->listing = true;
		watcher->lists++;
		watcher->handler.begin(watcher->handler.context);
	}
	const struct request request = {
	        .kube = {.path = request_path("%s?labelSelector=%s&limit=%u%s%s",
	                                      watcher->target.path, watcher->selector,
	                                      watcher->page,
	                                      watcher->next_page == NULL ? "" : "&continue=",
	                                      watcher->next_page == NULL ? "" : watcher->next_page),
	                 .timeout = LIST_TIMEOUT},
	        .priority = REQUEST_URGENT,
	        .receive = page_receive,
	        .finish = page_ended,
	        .context = watcher,
	};
	start_stream(watcher, watcher->target.list_filter);
	watcher->page_bytes = 0;
	watcher->page_pods = 0;
	watcher->request = event_loop_add_request(watcher->loop, &request);
	if (watcher->request == NULL)
		schedule(watcher, SECOND);
}

/* ---- The watch ---- */

static void take_version(struct watcher *watcher, const json *object)
{
	const char *version = json_get_string(json_get(object, "metadata"), "resourceVersion");
	if (version != NULL && *version != '\0' && strlen(version) < sizeof watcher->version)
		snprintf(watcher->version, sizeof watcher->version, "%s", version);
}

static bool take_error(struct watcher *watcher, const json *status)
{
	int64_t code = 0;
	json_integer(json_get(status, "code"), &code);
	watcher->expired = code == 410 || json_string_is(json_get(status, "reason"), "Expired") ||
	                   json_string_is(json_get(status, "reason"), "Gone");
	return false;
}

static bool take_event(void *context, const struct json_piece *piece)
{
	struct watcher *watcher = context;
	json *root = tree_of(watcher, piece);
	if (root == NULL) {
		watcher->expired = true; /* what happened to its pod is not known: list again */
		return false;
	}
	const char *type = json_get_string_or(root, "type", "");
	const json *object = json_get(root, "object");
	enum watch_event event = WATCH_MODIFIED;
	if (strcmp(type, "ERROR") == 0)
		return take_error(watcher, object);
	if (strcmp(type, "ADDED") == 0)
		event = WATCH_ADDED;
	else if (strcmp(type, "DELETED") == 0)
		event = WATCH_DELETED;
	if (strcmp(type, "BOOKMARK") != 0)
		take_pod(watcher, event, object, piece->cut);
	take_version(watcher, object);
	watcher->progress = true;
	made_progress(watcher);
	watcher->paused = !watcher->handler.may_read(watcher->handler.context);
	return !watcher->paused;
}

static bool watch_receive(void *context, const char *bytes, size_t length)
{
	struct watcher *watcher = context;
	struct error error;
	if (json_stream_feed(&watcher->stream, bytes, length, take_event, watcher, &error))
		return true;
	if (json_stream_failed(&watcher->stream))
		watcher->expired = true;
	return false;
}

static void watch_ended(void *context, struct kube_response *response, const struct error *error)
{
	struct watcher *watcher = context;
	watcher->request = NULL;
	arena_reset(watcher->arena);
	if (watcher->expired || response->status == 410) {
		watcher->expired = false;
		forget_list(watcher);
		/* A server that lets every list expire at once is not flooded with requests. */
		schedule(watcher, watcher->progress ? 0 : SECOND);
		return;
	}
	if (error == NULL)
		made_progress(watcher);
	if (watcher->paused)
		return;
	/* A watch ends when its time is over, with its server, or when the connection is dead. */
	if (error == NULL || watcher->progress)
		schedule(watcher,
		         (int64_t)(event_loop_random(watcher->loop) % (uint64_t)SECOND) / 2);
	else
		retry(watcher, response, error);
}

static void request_watch(struct watcher *watcher)
{
	unsigned seconds =
	        WATCH_SECONDS + (unsigned)(event_loop_random(watcher->loop) % WATCH_SECONDS);
	const struct request request = {
	        .kube = {.path = request_path("%s?labelSelector=%s&watch=1&allowWatchBookmarks=true"
	                                      "&resourceVersion=%s&timeoutSeconds=%u",
	                                      watcher->target.path, watcher->selector,
	                                      watcher->version, seconds),
	                 .idle_timeout = watcher->idle},
	        .priority = REQUEST_URGENT,
	        .receive = watch_receive,
	        .finish = watch_ended,
	        .context = watcher,
	};
	start_stream(watcher, watcher->target.watch_filter);
	watcher->progress = false;
	watcher->watches++;
	watcher->request = event_loop_add_request(watcher->loop, &request);
	if (watcher->request == NULL)
		schedule(watcher, SECOND);
}

static void step(void *context)
{
	struct watcher *watcher = context;
	if (watcher->request != NULL)
		return;
	watcher->paused = !watcher->handler.may_read(watcher->handler.context);
	if (watcher->paused)
		return;
	if (watcher->version[0] == '\0' || watcher->listing)
		request_page(watcher);
	else
		request_watch(watcher);
}

void watcher_start(struct watcher *watcher)
{
	schedule(watcher, 0);
}

void watcher_resume(struct watcher *watcher)
{
	if (watcher->paused)
		schedule(watcher, 0);
}

void watcher_relist(struct watcher *watcher)
{
	if (watcher->loop == NULL)
		return;
	watcher->relist = watcher->listing;
	if (watcher->listing)
		return;
	event_loop_cancel_request(watcher->loop, watcher->request);
	watcher->request = NULL;
	watcher->expired = false;
	forget_list(watcher);
	schedule(watcher, 0);
}
