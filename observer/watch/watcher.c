#include "observer/watch/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http/url.h"
#include "lib/base/log.h"

/* An object may have 1.5 MiB in etcd, and more as JSON; a page is parsed as a whole. */
#define LINE_MAX_BYTES ((size_t)8 * 1024 * 1024)
#define PAGE_MAX_BYTES ((size_t)8 * 1024 * 1024)
#define ARENA_MAX      ((size_t)96 * 1024 * 1024)
#define PAGE_PODS      100
#define LIST_TIMEOUT   (60 * SECOND)
/* The server is asked to end a watch after 5 to 10 minutes, so that the load is spread anew. */
#define WATCH_SECONDS 300

static void step(void *context);

bool watcher_init(struct watcher *watcher, struct event_loop *loop, const char *path,
                  const char *selector, int64_t idle, const struct watch_handler *handler)
{
	*watcher = (struct watcher){
	        .loop = loop,
	        .handler = *handler,
	        .path = path,
	        .selector = url_escaped(selector),
	        .idle = idle,
	        .page = PAGE_PODS,
	        .timer = {.fire = step, .context = watcher},
	        .arena = arena_new(ARENA_MAX),
	};
	line_splitter_init(&watcher->splitter, LINE_MAX_BYTES);
	if (watcher->selector != NULL && watcher->arena != NULL)
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
	line_splitter_free(&watcher->splitter);
	arena_free(watcher->arena);
	free(watcher->selector);
	free(watcher->next_page);
	*watcher = (struct watcher){.loop = NULL};
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
		log_message(LOG_WARNING, "watching pods failed, trying again", "error",
		            error == NULL ? "the response is not a list of pods" : error->message,
		            NULL);
	schedule(watcher, delay);
}

/* ---- The list ---- */

static bool take_page(struct watcher *watcher, const struct kube_response *response)
{
	json *root;
	arena_reset(watcher->arena);
	if (json_parse(watcher->arena, buffer_text(&response->body), response->body.length, 0,
	               &root, NULL) == JSON_INVALID ||
	    !json_is_object(root))
		return false;
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
	for (json *n = json_first(json_get(root, "items")); n != NULL; n = json_next(n))
		watcher->handler.take(watcher->handler.context, WATCH_LISTED, watcher->arena, n);
	return true;
}

static void page_received(void *context, struct kube_response *response, const struct error *error)
{
	struct watcher *watcher = context;
	watcher->request = NULL;
	if (error != NULL && response->status == 0 && !buffer_ok(&response->body) &&
	    watcher->page > 1) {
		watcher->page /= 2;
		schedule(watcher, 0);
		return;
	}
	if (error != NULL && response->status == 410)
		forget_list(watcher);
	if (error != NULL || !take_page(watcher, response)) {
		retry(watcher, error == NULL ? NULL : response, error);
		return;
	}
	arena_reset(watcher->arena);
	watcher->failures = 0;
	if (watcher->next_page == NULL) {
		watcher->listing = false;
		watcher->synced = true;
		watcher->handler.complete(watcher->handler.context);
	}
	schedule(watcher, 0);
}

static void request_page(struct watcher *watcher)
{
	if (!watcher->listing) {
		watcher->listing = true;
		watcher->lists++;
		watcher->handler.begin(watcher->handler.context);
	}
	const struct request request = {
	        .kube = {.path = request_path("%s?labelSelector=%s&limit=%u%s%s", watcher->path,
	                                      watcher->selector, watcher->page,
	                                      watcher->next_page == NULL ? "" : "&continue=",
	                                      watcher->next_page == NULL ? "" : watcher->next_page),
	                 .timeout = LIST_TIMEOUT,
	                 .response_max = PAGE_MAX_BYTES},
	        .priority = REQUEST_URGENT,
	        .finish = page_received,
	        .context = watcher,
	};
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

static bool take_line(void *context, const char *line, size_t length)
{
	struct watcher *watcher = context;
	json *root;
	arena_reset(watcher->arena);
	if (length == 0)
		return true;
	if (json_parse(watcher->arena, line, length, 0, &root, NULL) == JSON_INVALID) {
		watcher->expired = true; /* which pod it was about is not known: list again */
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
		watcher->handler.take(watcher->handler.context, event, watcher->arena, object);
	take_version(watcher, object);
	watcher->progress = true;
	watcher->failures = 0;
	watcher->paused = !watcher->handler.may_read(watcher->handler.context);
	return !watcher->paused;
}

static bool watch_receive(void *context, const char *bytes, size_t length)
{
	struct watcher *watcher = context;
	bool more = line_splitter_feed(&watcher->splitter, bytes, length, take_line, watcher);
	if (watcher->splitter.skipped > 0) { /* an event that was too large to read */
		watcher->splitter.skipped = 0;
		watcher->expired = true;
		return false;
	}
	return more;
}

static void watch_ended(void *context, struct kube_response *response, const struct error *error)
{
	struct watcher *watcher = context;
	watcher->request = NULL;
	line_splitter_clear(&watcher->splitter);
	arena_reset(watcher->arena);
	if (watcher->expired || response->status == 410) {
		watcher->expired = false;
		forget_list(watcher);
		/* A server that lets every list expire at once is not flooded with requests. */
		schedule(watcher, watcher->progress ? 0 : SECOND);
		return;
	}
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
	                                      watcher->path, watcher->selector, watcher->version,
	                                      seconds),
	                 .idle_timeout = watcher->idle},
	        .priority = REQUEST_URGENT,
	        .receive = watch_receive,
	        .finish = watch_ended,
	        .context = watcher,
	};
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
