/*
 * watcher: follows all pods of a label, for ever: a paged list, then a watch. No I/O: it adds
 * requests to the engine.
 *
 * What may happen and what is done (Kubernetes: "Efficient detection of changes"):
 *   the watch ends, breaks, or gives no byte for too long   a new one from the last version known,
 *                                                           which bookmarks keep fresh
 *   410 Gone, as HTTP status or as an ERROR object          list again; pods that are not in the
 *                                                           list are gone
 *   410 on a list's next page                               the list from its start
 *   a page larger than the ceiling                          the same page with half the pods
 *   anything else                                           again, after kube_retry_delay()
 *   may_read() says no                                      nothing is read until watcher_resume();
 *                                                           the version is kept, so nothing is lost
 *
 * Invariants:
 *  - One request at a time: a page or a watch.
 *  - The version is that of the last object or bookmark that the sink has taken, so that a new
 *    watch gives everything after it, at least once, in order.
 *  - synced is true from the first complete list on.
 */
#ifndef LASTWORD_OBSERVER_WATCH_WATCHER_H
#define LASTWORD_OBSERVER_WATCH_WATCHER_H

#include <stdbool.h>

#include "lib/document/json.h"
#include "observer/event_loop.h"
#include "observer/watch/line_splitter.h"

enum watch_event { WATCH_LISTED, WATCH_ADDED, WATCH_MODIFIED, WATCH_DELETED };

struct watcher_sink {
	/* A list begins; complete() comes, or another begin(). */
	void (*begin)(void *context);
	/* The object lives in the arena until the call returns. */
	void (*take)(void *context, enum watch_event event, struct arena *arena,
	             const json *object);
	void (*complete)(void *context);
	/* There is room for what another event may bring. */
	bool (*may_read)(void *context);
	void *context;
};

struct watcher {
	struct engine *engine;
	struct watcher_sink sink;
	const char *path; /* "/api/v1/pods" */
	char *selector;   /* escaped */
	int64_t idle;     /* a watch without a byte for so long is dead */
	unsigned page;    /* pods in a page */
	char version[64]; /* "" : list first */
	char *next_page;  /* the list's continue token, escaped; NULL: its first page */
	bool listing;     /* between begin() and complete() */
	bool synced;
	bool paused;       /* by may_read() */
	bool expired;      /* the watch said 410 */
	bool progress;     /* this watch brought something */
	unsigned failures; /* in a row */
	struct request *request;
	struct timer timer;
	struct lines lines;
	struct arena *arena;
	uint64_t lists; /* begun, ever */
	uint64_t watches;
};

bool watcher_init(struct watcher *watcher, struct engine *engine, const char *path,
                  const char *selector, int64_t idle, const struct watcher_sink *sink);
void watcher_start(struct watcher *watcher);
/* may_read() says yes again. */
void watcher_resume(struct watcher *watcher);
/* May be called again; watcher_resume() does nothing after it. */
void watcher_free(struct watcher *watcher);

#endif
