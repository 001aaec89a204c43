#include "observer/evidence/log_reader.h"

#include <stdlib.h>
#include <string.h>

#include "lib/kube/names.h"
#include "lib/base/timestamp.h"
#include "observer/evidence/watchdog_report.h"

#define TAIL_LINES   200
#define READ_TIMEOUT (20 * SECOND)
/* A line is printed before the kubelet notices the end; the log's times are the node's, too. */
#define LINE_LEAD (20 * SECOND)

struct log_read {
	struct engine *engine;
	const struct end *end;
	logs_done *done;
	void *context;
	bool tail; /* of the container's own log */
	unsigned attempt;
	struct request *request;
	struct timer timer;
	/* the line */
	struct lines lines;
	struct arena *arena;
	char *best;
	size_t best_length;
	int64_t best_distance;
	/* the tail */
	void *memory;
	struct ring ring;
};

static void ask(void *context);

static void forget(struct log_read *read)
{
	free(read->best);
	free(read->memory);
	read->best = NULL;
	read->memory = NULL;
	lines_clear(&read->lines);
}

static void read_free(struct log_read *read)
{
	forget(read);
	lines_free(&read->lines);
	arena_free(read->arena);
	free(read);
}

void logs_cancel(struct log_read *read)
{
	if (read == NULL)
		return;
	engine_cancel(read->engine, read->request);
	engine_clear_timer(read->engine, &read->timer);
	read_free(read);
}

/* ---- The watchdog's log ---- */

static bool take_line(void *context, const char *text, size_t length)
{
	struct log_read *read = context;
	struct line line;
	arena_reset(read->arena);
	if (!line_read(read->arena, text, length, read->end->uid, &line))
		return true;
	int64_t distance = line_distance(&line, read->end);
	if (distance < 0 || (read->best != NULL && distance > read->best_distance))
		return true;
	char *copy = malloc(length + 1);
	if (copy == NULL)
		return true;
	memcpy(copy, text, length);
	copy[length] = '\0';
	free(read->best);
	read->best = copy;
	read->best_length = length;
	read->best_distance = distance;
	return true;
}

/* ---- A container's own ---- */

static void take_bytes(struct log_read *read, const char *bytes, size_t length)
{
	size_t size = ring_memory_size(LOGS_TAIL_MAX);
	if (read->memory == NULL) {
		read->memory = malloc(size);
		if (read->memory == NULL)
			return;
		read->ring = ring_format(read->memory, size);
	}
	ring_write(&read->ring, bytes, length, 0);
}

static bool is_no_log(const char *text, size_t length)
{
	static const char start[] = "unable to retrieve container logs";
	return length == 0 ||
	       (length >= sizeof start - 1 && memcmp(text, start, sizeof start - 1) == 0);
}

static void finish_tail(struct log_read *read)
{
	char *text = read->memory == NULL ? NULL : malloc(LOGS_TAIL_MAX + 1);
	size_t length = 0;
	uint64_t total = 0;
	bool cut = false;
	if (text != NULL)
		length = ring_read(&read->ring, text, LOGS_TAIL_MAX, &total, &cut);
	if (is_no_log(text, length)) {
		free(text);
		text = NULL;
		length = 0;
	}
	/* Of TAIL_LINES lines nobody knows whether there were more. */
	size_t count = 0;
	for (size_t i = 0; i < length; i++)
		count += text[i] == '\n';
	read->done(read->context, text, length, cut || count >= TAIL_LINES);
}

/* ---- Both ---- */

static bool receive(void *context, const char *bytes, size_t length)
{
	struct log_read *read = context;
	if (read->tail) {
		take_bytes(read, bytes, length);
		return true;
	}
	return lines_feed(&read->lines, bytes, length, take_line, read);
}

static void finished(void *context, struct kube_response *response, const struct error *error)
{
	struct log_read *read = context;
	read->request = NULL;
	int64_t delay = error == NULL ? -1
	                              : kube_retry_delay("GET", response, read->attempt,
	                                                 engine_random(read->engine));
	if (delay >= 0 && read->attempt < LOGS_ATTEMPTS) {
		forget(read);
		engine_set_timer(read->engine, &read->timer, read->engine->now + delay);
		return;
	}
	if (read->tail) {
		finish_tail(read);
	} else {
		lines_end(&read->lines, take_line, read);
		char *best = read->best;
		read->best = NULL;
		read->done(read->context, best, best == NULL ? 0 : read->best_length, false);
	}
	read_free(read);
}

static char *make_path(const struct log_read *read)
{
	const struct end *end = read->end;
	char since[TIMESTAMP_SIZE];
	if (read->tail)
		return engine_text("/api/v1/namespaces/%s/pods/%s/log?container=%s&tailLines=%d%s",
		                   end->namespace, end->pod, end->container, TAIL_LINES,
		                   end->previous ? "&previous=true" : "");
	if (end->finished_at <= LINE_LEAD)
		return engine_text("/api/v1/namespaces/%s/pods/%s/log?container=" NAME_WATCHDOG
		                   "&tailLines=%d",
		                   end->namespace, end->pod, TAIL_LINES);
	timestamp_print(end->finished_at - LINE_LEAD, since);
	return engine_text("/api/v1/namespaces/%s/pods/%s/log?container=" NAME_WATCHDOG
	                   "&sinceTime=%s",
	                   end->namespace, end->pod, since);
}

static void ask(void *context)
{
	struct log_read *read = context;
	read->attempt++;
	const struct request request = {
	        .ask = {.path = make_path(read), .timeout = READ_TIMEOUT},
	        .receive = receive,
	        .finish = finished,
	        .context = read,
	};
	read->request = engine_request(read->engine, &request);
	if (read->request == NULL)
		engine_set_timer(read->engine, &read->timer, read->engine->now + SECOND);
}

static struct log_read *start(struct engine *engine, const struct end *end, bool tail,
                              logs_done *done, void *context)
{
	struct log_read *read = calloc(1, sizeof *read);
	if (read == NULL)
		return NULL;
	*read = (struct log_read){
	        .engine = engine,
	        .end = end,
	        .done = done,
	        .context = context,
	        .tail = tail,
	        .timer = {.fire = ask, .context = read},
	        .arena = tail ? NULL : arena_new(0),
	};
	lines_init(&read->lines, LOGS_LINE_MAX);
	if (!tail && read->arena == NULL) {
		read_free(read);
		return NULL;
	}
	ask(read);
	return read;
}

struct log_read *logs_read_line(struct engine *engine, const struct end *end, logs_done *done,
                                void *context)
{
	return start(engine, end, false, done, context);
}

struct log_read *logs_read_tail(struct engine *engine, const struct end *end, logs_done *done,
                                void *context)
{
	return start(engine, end, true, done, context);
}
