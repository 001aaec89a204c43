/*
 * watcher: lists and watches all pods with a label, for ever. No I/O of its own: requests to the
 * event loop.
 *
 * Both are read as they come (lib/document/json_stream, pod/pod_filter): of each pod only what the
 * observer needs is kept, one pod at a time. So no pod is too large, and no number of them; one
 * that is cut (pod_filter.h) is counted and named in the log, and the position goes on behind it.
 *
 * What may happen and what is done (Kubernetes: "Efficient detection of changes"):
 *   the watch ends, breaks, or is silent for too long       a new watch from the last version,
 *                                                           which bookmarks keep recent
 *   410 Gone, as HTTP status or as an ERROR object          a new list; pods that are not in it
 *                                                           are gone
 *   410 for a further page of a list                        the list from its start
 *   a page that is too large, or broken off                 the same page with half the pods, or
 *                                                           fewer; further pages grow again
 *   anything else                                           again, after kube_retry_delay()
 *   may_read() returns false                                nothing is read until
 *                                                           watcher_resume(); the version is kept,
 *                                                           so nothing is lost
 *
 * Invariants:
 *  - One request at a time: a page or a watch.
 *  - The version is that of the last object or bookmark that the handler was given, so that a new
 *    watch delivers everything after it, at least once, in order.
 *  - Memory does not depend on the pods: what is kept of one pod, and the continue token.
 *  - synced is true from the first complete list on. Progress is a list that is complete, an event
 *    or bookmark (the API server sends one a minute) that was taken, or a watch that the server
 *    ended well; a watcher without any for long is not current.
 */
#ifndef LASTWORD_OBSERVER_WATCH_WATCHER_H
#define LASTWORD_OBSERVER_WATCH_WATCHER_H

#include <stdbool.h>

#include "lib/document/json.h"
#include "lib/document/json_stream.h"
#include "observer/base/event_loop.h"

enum watch_event { WATCH_LISTED, WATCH_ADDED, WATCH_MODIFIED, WATCH_DELETED };

struct watch_handler {
	/* A list begins; complete() follows, or another begin(). */
	void (*begin)(void *context);
	/* The object lives in the arena until the call returns. */
	void (*take)(void *context, enum watch_event event, struct arena *arena,
	             const json *object);
	void (*complete)(void *context);
	/* There is memory for what another event may cause. */
	bool (*may_read)(void *context);
	void *context;
};

/* What is listed and watched. The filters fit POD_FILTER_STORAGE, with POD_FILTER_EXTRA_MAX bytes
 * of extra members, and have what pod_list_filter and pod_watch_filter have around the object. */
struct watch_target {
	const char *path;   /* "/api/v1/pods" */
	const char *fields; /* a field selector, "reason=FailedCreate"; NULL: none */
	const struct json_filter *list_filter;
	const struct json_filter *watch_filter;
};
extern const struct watch_target watch_pods;

struct watcher {
	struct event_loop *loop;
	struct watch_handler handler;
	struct watch_target target;
	char *selector; /* of labels, and the field selector behind it; escaped */
	int64_t idle;   /* a watch without a byte for so long (nanoseconds) counts as broken */
	unsigned page;  /* pods in a page */
	/* of the present page */
	unsigned page_pods;
	size_t page_bytes;
	bool overflow;    /* it was broken off for its size */
	bool invalid;     /* it is no list of pods */
	char version[64]; /* "" : list first */
	char *next_page;  /* the list's continue token, escaped; NULL: its first page */
	bool listing;     /* between begin() and complete() */
	bool relist;      /* another list is wanted behind it */
	bool synced;
	bool paused;       /* since may_read() returned false */
	bool expired;      /* the watch returned 410 */
	bool progress;     /* this watch delivered something */
	unsigned failures; /* in a row */
	struct request *request;
	struct timer timer;
	int64_t progress_at; /* loop->now of the last progress */
	char *storage;
	struct json_stream stream;
	struct arena *arena;
	uint64_t lists; /* started, ever */
	uint64_t watches;
	uint64_t cut_pods; /* events and listed pods that were read in part, ever */
};

bool watcher_init(struct watcher *watcher, struct event_loop *loop,
                  const struct watch_target *target, const char *selector, int64_t idle,
                  const struct watch_handler *handler);
void watcher_start(struct watcher *watcher);
/* The pods are listed, and there was progress within twice `idle` and a minute. */
bool watcher_is_current(const struct watcher *watcher);
/* Nanoseconds since the last progress, or since the start. */
int64_t watcher_silence(const struct watcher *watcher);
/* may_read() returns true again. */
void watcher_resume(struct watcher *watcher);
/* Lists anew: what is wanted of the pods has changed. A list that is under way is completed first,
 * so that however often this is called the lists come to an end. Not from a handler. */
void watcher_relist(struct watcher *watcher);
/* May be called again; watcher_resume() does nothing after it. */
void watcher_free(struct watcher *watcher);

#endif
