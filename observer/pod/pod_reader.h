/*
 * pod_reader: reads one pod through the API, of any size with little memory (pod_filter). No I/O of
 * its own: a request to the event loop.
 *
 * One pod at a time, so that pods which are as large as they may be, of whoever makes them, never
 * add up. Memory: POD_FILTER_STORAGE and the pod's tree, while one is read.
 */
#ifndef LASTWORD_OBSERVER_POD_POD_READER_H
#define LASTWORD_OBSERVER_POD_POD_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/document/json.h"
#include "lib/document/json_stream.h"
#include "observer/base/event_loop.h"

/* pod: what pod_filter keeps of it, in the arena, until the call returns; NULL: there is none, or
 * the request failed (error), or what came was no pod. */
typedef void pod_reader_done(void *context, const struct kube_response *response,
                             const struct error *error, struct arena *arena, const json *pod);

struct pod_reader {
	struct event_loop *loop;
	struct request *request; /* NULL: it is free */
	pod_reader_done *done;
	void *context;
	struct json_stream stream;
	char *storage;
	char *kept; /* the pod, as an event of a watch */
};

static inline bool pod_reader_is_busy(const struct pod_reader *reader)
{
	return reader->request != NULL;
}

/* Zeroed memory with `loop` set is a reader that is free. False: no memory; done() is not called.
 */
bool pod_reader_start(struct pod_reader *reader, const char *namespace, const char *name,
                      pod_reader_done *done, void *context);
/* done() is not called any more. */
void pod_reader_cancel(struct pod_reader *reader);

#endif
