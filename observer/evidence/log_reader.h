/*
 * log_reader: reads containers' logs through the API: the watchdog's, for its report about a
 * termination, or the agent's own, for its last bytes. No I/O of its own: requests to the event
 * loop.
 *
 * A log that is gone (404, 400: the container is not found, terminated and collected) counts as
 * empty; so does a 200 with the kubelet's error text in the log's place (log_error.h). What may be
 * temporary (no response, 429, 5xx) is tried again, LOG_READER_ATTEMPTS times in all: the log may
 * be gone soon.
 *
 * Memory: 32 KiB and one line for each log that is being read. A log that brings more than
 * LOG_READER_BYTES_MAX (a container that prints on, in the watchdog's place) is left there.
 */
#ifndef LASTWORD_OBSERVER_EVIDENCE_LOG_READER_H
#define LASTWORD_OBSERVER_EVIDENCE_LOG_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/pod/termination.h"
#include "observer/base/event_loop.h"
#include "lib/base/line_splitter.h"

#define LOG_READER_LINE_MAX ((size_t)32 * 1024) /* the watchdog's lines have at most 16000 */
#define LOG_READER_ATTEMPTS 4
/* 200 records of the container runtime, of 16 KiB at most, are 3.2 MB. */
#define LOG_READER_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct log_reader;

/* The result. text: the report about the termination, or the last bytes of the agent's log; NULL:
 * there is none; the receiver frees it. cut: the text does not begin where the log began. */
typedef void log_reader_done(void *context, char *text, size_t length, bool cut);

/* The termination must live until done() or log_reader_cancel(). NULL: no memory; done() is not
 * called. */
struct log_reader *log_reader_read_report(struct event_loop *loop,
                                          const struct termination *termination,
                                          log_reader_done *done, void *context);
struct log_reader *log_reader_read_tail(struct event_loop *loop,
                                        const struct termination *termination,
                                        log_reader_done *done, void *context);
void log_reader_cancel(struct log_reader *reader);

#endif
