/*
 * logs: reads containers' logs through the API: the watchdog's for the line about an end, or a
 * container's own for its last bytes. No I/O of its own: requests to the engine.
 *
 * limitBytes cuts a log from its start, so the last bytes are kept here, in a ring. A log that is
 * gone (404, 400: the container is not found, terminated and collected) is an empty one; so is the
 * 200 whose body begins "unable to retrieve container logs". What may be a passing trouble (no
 * response, 429, 5xx) is tried again LOGS_ATTEMPTS times: the log may be gone soon.
 *
 * Memory: 32 KiB and one line for each read that is being answered.
 */
#ifndef LASTWORD_OBSERVER_EVIDENCE_LOG_READER_H
#define LASTWORD_OBSERVER_EVIDENCE_LOG_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/ring.h"
#include "observer/pod/termination.h"
#include "observer/event_loop.h"
#include "observer/watch/line_splitter.h"

#define LOGS_TAIL_MAX ((size_t)32 * 1024)
#define LOGS_LINE_MAX ((size_t)32 * 1024) /* the watchdog's have 16000 */
#define LOGS_ATTEMPTS 4

struct log_read;

/* What came of it: for the watchdog's log the line about the end (NULL: none), for a container's
 * own its last bytes (NULL: none), and whether they do not begin where the log began. The text is
 * the receiver's to free. */
typedef void logs_done(void *context, char *text, size_t length, bool cut);

/* end must live until done() or logs_cancel(). NULL: no memory, done() is not called. */
struct log_read *logs_read_line(struct engine *engine, const struct end *end, logs_done *done,
                                void *context);
struct log_read *logs_read_tail(struct engine *engine, const struct end *end, logs_done *done,
                                void *context);
void logs_cancel(struct log_read *read);

#endif
