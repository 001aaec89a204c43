/*
 * event_post: the request that creates an Event. No I/O of its own: it goes to the event loop.
 */
#ifndef LASTWORD_OBSERVER_NOTIFY_EVENT_POST_H
#define LASTWORD_OBSERVER_NOTIFY_EVENT_POST_H

#include "observer/base/event_loop.h"

struct buffer;

/* Adds the POST of that Event (event_write()), whose bytes it takes, into the namespace. finish
 * NULL: nobody needs to know what came of it. NULL: no memory, or the Event was too large. */
struct request *event_post(struct event_loop *loop, const char *namespace, struct buffer *event,
                           request_finish *finish, void *context);

#endif
