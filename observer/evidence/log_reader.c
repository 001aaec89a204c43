#include "observer/evidence/log_reader.h"

#include <stdlib.h>
#include <string.h>

#include "lib/kube/names.h"
#include "lib/base/timestamp.h"
#include "observer/evidence/log_buffer.h"
#include "observer/pod/watchdog_report.h"

#define READ_TIMEOUT (20 * SECOND)
/* A report is printed before the kubelet notices the end; the log's times are of the node's clock,
 * too. */
#define REPORT_LEAD (20 * SECOND)

struct log_reader {
	struct event_loop *loop;
	const struct termination *termination;
	log_reader_done *done;
	void *context;
	bool tail;       /* it reads the agent's own log */
	size_t received; /* bytes of this attempt */
	unsigned attempt;
	struct request *request;
	struct timer timer;
	/* the watchdog's report */
	struct line_splitter splitter;
	struct arena *arena;
	char *best;
	size_t best_length;
	int64_t best_distance;
	struct log_buffer buffer; /* of the agent's own log */
};

static void send_request(void *context);

static void forget(struct log_reader *reader)
{
	free(reader->best);
	reader->best = NULL;
	log_buffer_free(&reader->buffer);
	line_splitter_clear(&reader->splitter);
}

static void read_free(struct log_reader *reader)
{
	forget(reader);
	line_splitter_free(&reader->splitter);
	arena_free(reader->arena);
	free(reader);
}

void log_reader_cancel(struct log_reader *reader)
{
	if (reader == NULL)
		return;
	event_loop_cancel_request(reader->loop, reader->request);
	event_loop_clear_timer(reader->loop, &reader->timer);
	read_free(reader);
}

/* ---- The watchdog's log ---- */

static bool take_line(void *context, const char *text, size_t length)
{
	struct log_reader *reader = context;
	struct watchdog_report report;
	arena_reset(reader->arena);
	if (!watchdog_report_read(reader->arena, text, length, reader->termination->uid, &report))
		return true;
	int64_t distance = watchdog_report_distance(&report, reader->termination);
	if (distance < 0 || (reader->best != NULL && distance > reader->best_distance))
		return true;
	char *copy = malloc(length + 1);
	if (copy == NULL)
		return true;
	memcpy(copy, text, length);
	copy[length] = '\0';
	free(reader->best);
	reader->best = copy;
	reader->best_length = length;
	reader->best_distance = distance;
	return true;
}

/* ---- The agent's own log ---- */

static void finish_tail(struct log_reader *reader)
{
	struct log_text text = log_buffer_read(&reader->buffer);
	reader->done(reader->context, text.bytes, text.length, text.cut);
}

/* ---- Both ---- */

static bool receive(void *context, const char *bytes, size_t length)
{
	struct log_reader *reader = context;
	reader->received += length;
	if (reader->received > LOG_READER_BYTES_MAX)
		return false;
	if (reader->tail) {
		log_buffer_append(&reader->buffer, bytes, length);
		return true;
	}
	return line_splitter_feed(&reader->splitter, bytes, length, take_line, reader);
}

static void finished(void *context, struct kube_response *response, const struct error *error)
{
	struct log_reader *reader = context;
	reader->request = NULL;
	int64_t delay = error == NULL ? -1
	                              : kube_retry_delay("GET", response, reader->attempt,
	                                                 event_loop_random(reader->loop));
	/* What is too long will not be shorter. */
	if (delay >= 0 && reader->attempt < LOG_READER_ATTEMPTS &&
	    reader->received <= LOG_READER_BYTES_MAX) {
		forget(reader);
		event_loop_set_timer(reader->loop, &reader->timer, reader->loop->now + delay);
		return;
	}
	if (reader->tail) {
		finish_tail(reader);
	} else {
		line_splitter_end(&reader->splitter, take_line, reader);
		char *best = reader->best;
		reader->best = NULL;
		reader->done(reader->context, best, best == NULL ? 0 : reader->best_length, false);
	}
	read_free(reader);
}

static char *make_path(const struct log_reader *reader)
{
	const struct termination *termination = reader->termination;
	char since[TIMESTAMP_SIZE];
	if (reader->tail)
		return request_path("/api/v1/namespaces/%s/pods/%s/log?container=%s&tailLines=%d%s",
		                    termination->namespace, termination->pod,
		                    termination->container, LOG_BUFFER_LINES,
		                    termination->previous ? "&previous=true" : "");
	if (termination->finished_at <= REPORT_LEAD)
		return request_path("/api/v1/namespaces/%s/pods/%s/log?container=" NAME_WATCHDOG
		                    "&tailLines=%d",
		                    termination->namespace, termination->pod, LOG_BUFFER_LINES);
	timestamp_print(termination->finished_at - REPORT_LEAD, since);
	return request_path("/api/v1/namespaces/%s/pods/%s/log?container=" NAME_WATCHDOG
	                    "&sinceTime=%s",
	                    termination->namespace, termination->pod, since);
}

static void send_request(void *context)
{
	struct log_reader *reader = context;
	reader->attempt++;
	reader->received = 0;
	const struct request request = {
	        .kube = {.path = make_path(reader), .timeout = READ_TIMEOUT},
	        .receive = receive,
	        .finish = finished,
	        .context = reader,
	};
	reader->request = event_loop_add_request(reader->loop, &request);
	if (reader->request == NULL)
		event_loop_set_timer(reader->loop, &reader->timer, reader->loop->now + SECOND);
}

static struct log_reader *start(struct event_loop *loop, const struct termination *termination,
                                bool tail, log_reader_done *done, void *context)
{
	struct log_reader *reader = calloc(1, sizeof *reader);
	if (reader == NULL)
		return NULL;
	*reader = (struct log_reader){
	        .loop = loop,
	        .termination = termination,
	        .done = done,
	        .context = context,
	        .tail = tail,
	        .timer = {.fire = send_request, .context = reader},
	        .arena = tail ? NULL : arena_new(0),
	};
	line_splitter_init(&reader->splitter, LOG_READER_LINE_MAX);
	if (!tail && reader->arena == NULL) {
		read_free(reader);
		return NULL;
	}
	send_request(reader);
	return reader;
}

struct log_reader *log_reader_read_report(struct event_loop *loop,
                                          const struct termination *termination,
                                          log_reader_done *done, void *context)
{
	return start(loop, termination, false, done, context);
}

struct log_reader *log_reader_read_tail(struct event_loop *loop,
                                        const struct termination *termination,
                                        log_reader_done *done, void *context)
{
	return start(loop, termination, true, done, context);
}
