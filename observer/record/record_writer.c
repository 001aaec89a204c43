#include "observer/record/record_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/diagnosis/classify.h"
#include "lib/base/log.h"

#define RETRY_REFUSED   (30 * SECOND)
#define STATUS_MAX      ((size_t)16 * 1024)
#define STATUS_ATTEMPTS 20
#define EARLY_CHECK     6 /* after such a part of the failover delay */

struct pending_record {
	struct pending_record *previous;
	struct pending_record *next;
	struct record_writer *writer;
	struct termination *termination; /* without message, context and patterns */
	char *record;                    /* the JSON; NULL: it was found written */
	size_t bytes;
	char name[AGENT_EXIT_NAME_SIZE];
	char identity[AGENT_EXIT_IDENTITY_SIZE];
	int64_t ended_at; /* since 1970 */
	/* for the notification and the metrics */
	char summary[256];
	int64_t exit_code;
	char fingerprint[20];
	const char *cause;      /* static */
	const char *source;     /* static */
	const char *log_missed; /* static; NULL: it was not */
	bool failed;
	int64_t duration;
	int64_t max_rss_bytes;
	int64_t cpu;
	/* its state */
	void (*stage)(struct pending_record *pending);
	struct notification notification;
	unsigned attempts;          /* of the stage */
	int64_t held_until;         /* by another replica than the leader; 0: it is not */
	int64_t refused_at;         /* the first refusal to write; 0: none */
	struct fair_holder *holder; /* of the refused bytes of its namespace; NULL: it was not */
	bool unsure;                /* an attempt to write had no response */
	struct request *request;
	struct timer timer;
};

static void check(struct pending_record *pending);
static void write_record(struct pending_record *pending);
static void notify(struct pending_record *pending);

char *record_path(const char *namespace, const char *name, const char *subresource)
{
	return request_path(
	        "/apis/" AGENT_EXIT_API_VERSION "/namespaces/%s/" AGENT_EXIT_PLURAL "%s%s%s",
	        namespace, name == NULL ? "" : "/", name == NULL ? "" : name, subresource);
}

void record_listener_offer(const struct record_listener *listener, const struct buffer *body)
{
	struct agent_exit exit;
	json *object;
	struct arena *_cleanup_arena_ arena = listener == NULL ? NULL : arena_new(0);
	if (arena != NULL &&
	    json_parse(arena, buffer_text(body), body->length, 0, &object, NULL) != JSON_INVALID &&
	    agent_exit_read(object, &exit, NULL))
		listener->changed(listener->context, &exit);
}

/* ---- Stages and requests ---- */

/* Without memory it is one that is not given up for others. */
static void count_refused(struct pending_record *pending)
{
	struct fair_share *share = &pending->writer->refused;
	pending->holder = fair_share_acquire(share, pending->termination->namespace);
	if (pending->holder != NULL)
		fair_share_take(share, pending->holder, pending->bytes);
}

static void uncount_refused(struct pending_record *pending)
{
	struct fair_share *share = &pending->writer->refused;
	if (pending->holder == NULL)
		return;
	fair_share_give_back(share, pending->holder, pending->bytes);
	fair_share_release(share, pending->holder);
	pending->holder = NULL;
}

static void pending_record_free(struct pending_record *pending)
{
	struct record_writer *writer = pending->writer;
	event_loop_cancel_request(writer->loop, pending->request);
	event_loop_clear_timer(writer->loop, &pending->timer);
	notification_cancel(&pending->notification);
	if (pending->previous != NULL)
		pending->previous->next = pending->next;
	else
		writer->first = pending->next;
	if (pending->next != NULL)
		pending->next->previous = pending->previous;
	writer->count--;
	writer->bytes -= pending->bytes;
	uncount_refused(pending);
	free(pending->record);
	free(pending->termination);
	free(pending);
}

static void finish_record(struct pending_record *pending)
{
	struct record_writer *writer = pending->writer;
	pending_record_free(pending);
	writer->decreased(writer->context);
}

static void fire(void *context)
{
	struct pending_record *pending = context;
	pending->stage(pending);
}

static void enter(struct pending_record *pending, void (*stage)(struct pending_record *pending),
                  int64_t delay)
{
	struct event_loop *loop = pending->writer->loop;
	if (stage != pending->stage)
		pending->attempts = 0;
	pending->stage = stage;
	event_loop_set_timer(loop, &pending->timer, loop->now + delay);
}

/* Enters the stage again, later; much later where the server refuses the request. */
static void retry(struct pending_record *pending, const struct kube_response *response)
{
	struct event_loop *loop = pending->writer->loop;
	int64_t delay =
	        kube_retry_delay("GET", response, pending->attempts, event_loop_random(loop));
	if (delay < 0)
		delay = RETRY_REFUSED / 2 +
		        (int64_t)(event_loop_random(loop) % (RETRY_REFUSED / 2));
	enter(pending, pending->stage, delay);
}

static void send_request(struct pending_record *pending, const char *method, const char *type,
                         char *path, struct buffer *body, request_finish *finish)
{
	size_t length = body == NULL ? 0 : body->length;
	const struct request request = {
	        .kube = {.method = method,
	                 .content_type = type,
	                 .path = path,
	                 .body = body == NULL ? NULL : buffer_steal(body),
	                 .body_length = length},
	        .finish = finish,
	        .context = pending,
	};
	pending->attempts++;
	pending->request = event_loop_add_request(pending->writer->loop, &request);
	if (pending->request == NULL)
		enter(pending, pending->stage, SECOND);
}

/* ---- HOLD and CHECK ---- */

static bool is_notified(const struct agent_exit *exit)
{
	for (size_t i = 0; i < exit->notification_count; i++)
		if (strcmp(exit->notifications[i].receiver, "event-pod") == 0)
			return true;
	return false;
}

static void hold(struct pending_record *pending)
{
	const struct record_writer *writer = pending->writer;
	pending->held_until = writer->loop->now + writer->failover_delay;
	enter(pending, check, writer->failover_delay / EARLY_CHECK);
}

/* It is not done yet: by this replica when it has held it for long enough, or leads. */
static void go_on(struct pending_record *pending, void (*stage)(struct pending_record *pending))
{
	int64_t left = pending->held_until - pending->writer->loop->now;
	if (!pending->writer->leader && left > 0)
		enter(pending, check, left);
	else
		enter(pending, stage, 0);
}

static void checked(void *context, struct kube_response *response, const struct error *error)
{
	struct pending_record *pending = context;
	struct agent_exit exit;
	json *object;
	pending->request = NULL;
	if (error != NULL && response->status == 404 && pending->record != NULL) {
		go_on(pending, write_record);
		return;
	}
	if (error != NULL && response->status == 404) {
		finish_record(pending);
		return;
	}
	if (error != NULL) {
		retry(pending, response);
		return;
	}
	struct arena *_cleanup_arena_ arena = arena_new(0);
	if (arena != NULL &&
	    json_parse(arena, buffer_text(&response->body), response->body.length, 0, &object,
	               NULL) != JSON_INVALID &&
	    agent_exit_read(object, &exit, NULL) && is_notified(&exit)) {
		const struct record_listener *listener = pending->writer->listener;
		if (listener != NULL)
			listener->changed(listener->context, &exit);
		finish_record(pending);
	} else {
		go_on(pending, notify);
	}
}

static void check(struct pending_record *pending)
{
	send_request(pending, NULL, NULL,
	             record_path(pending->termination->namespace, pending->name, ""), NULL,
	             checked);
}

/* ---- WRITE ---- */

static void count_written(struct pending_record *pending)
{
	struct record_writer *writer = pending->writer;
	const struct agent_exit exit = {
	        .namespace = pending->termination->namespace,
	        .error_type = pending->cause,
	        .source = pending->source,
	};
	writer->written++;
	observer_metrics_count_record(writer->metrics, &exit, pending->termination->agent);
	if (pending->log_missed != NULL)
		observer_metrics_count_missed_log(writer->metrics, pending->log_missed);
	observer_metrics_count_run(writer->metrics, exit.namespace, pending->termination->agent,
	                           pending->failed, pending->duration, pending->max_rss_bytes,
	                           pending->cpu);
}

static void report_recorded(const struct pending_record *pending)
{
	const struct record_writer *writer = pending->writer;
	writer->recorded(writer->context, pending->termination->namespace, pending->identity,
	                 pending->ended_at);
}

/* A record that cannot be stored is printed, so that it is not lost. */
static void print_record(const struct pending_record *pending, const char *error)
{
	struct log_line line;
	log_begin(&line, LOG_ERROR, "a record cannot be written and is printed instead");
	log_text(&line, "error", error);
	log_json(&line, "record", pending->record);
	log_end(&line);
}

static void give_up(struct pending_record *pending, const struct error *error)
{
	print_record(pending, error->message);
	observer_metrics_count(pending->writer->metrics, COUNTER_LOST_RECORDS);
	finish_record(pending);
}

/* The record that has been refused for longest, of the namespace with the most such bytes. */
static struct pending_record *find_refused(const struct record_writer *writer)
{
	const struct fair_holder *largest = fair_share_largest(&writer->refused);
	struct pending_record *oldest = NULL;
	for (struct pending_record *p = writer->first; largest != NULL && p != NULL; p = p->next)
		/* The analyzer does not see that a freed record has left the list. */
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		if (p->holder == largest && (oldest == NULL || p->refused_at < oldest->refused_at))
			oldest = p;
	return oldest;
}

static void make_room(struct record_writer *writer)
{
	const struct error error = {"refused, and too many records of its namespace are pending"};
	struct pending_record *refused_one;
	while (writer->bytes > RECORD_WRITER_CROWDED &&
	       (refused_one = find_refused(writer)) != NULL)
		give_up(refused_one, &error);
}

static void refused(struct pending_record *pending, const struct kube_response *response,
                    const struct error *error)
{
	struct record_writer *writer = pending->writer;
	int64_t now = writer->loop->now;
	static struct log_limit limit;
	uint64_t dropped;
	if (pending->refused_at == 0) {
		pending->refused_at = now;
		count_refused(pending);
		if (log_limit_pass(&limit, &dropped))
			log_message(LOG_ERROR, "the API server refuses a record, trying again",
			            "error", error->message, NULL);
	}
	/* A record that is not valid now will not be later. */
	bool invalid =
	        response->status == 400 || response->status == 413 || response->status == 422;
	if (invalid || now - pending->refused_at >= RECORD_WRITER_GIVE_UP)
		give_up(pending, error);
	else
		retry(pending, response);
	make_room(writer);
}

static void written(void *context, struct kube_response *response, const struct error *error)
{
	struct pending_record *pending = context;
	pending->request = NULL;
	bool written_here = error == NULL || (response->status == 409 && pending->unsure);
	if (written_here) {
		uncount_refused(pending);
		count_written(pending);
		report_recorded(pending);
		enter(pending, notify, 0);
	} else if (response->status == 409) {
		report_recorded(pending);
		enter(pending, check, pending->writer->failover_delay);
	} else if (response->status >= 400 && response->status < 500 && response->status != 429) {
		refused(pending, response, error);
	} else {
		pending->unsure = pending->unsure || response->status != 429;
		retry(pending, response);
	}
}

static void write_record(struct pending_record *pending)
{
	struct buffer body;
	buffer_init(&body, AGENT_EXIT_SIZE_MAX);
	buffer_append_text(&body, pending->record);
	send_request(pending, "POST", NULL, record_path(pending->termination->namespace, NULL, ""),
	             &body, written);
}

/* ---- NOTIFY and STATUS ---- */

static void status_written(void *context, struct kube_response *response, const struct error *error)
{
	struct pending_record *pending = context;
	pending->request = NULL;
	if (error == NULL)
		record_listener_offer(pending->writer->listener, &response->body);
	if (error == NULL || response->status == 404 || pending->attempts >= STATUS_ATTEMPTS)
		finish_record(pending);
	else
		retry(pending, response);
}

static void write_status(struct pending_record *pending)
{
	char ids[EVENT_TARGETS][EVENT_NAME_SIZE];
	struct agent_exit exit;
	struct buffer body;
	agent_exit_init(&exit);
	exit.notification_count =
	        notification_list(&pending->notification, ids, exit.notifications);
	const struct record_listener *listener = pending->writer->listener;
	if (listener != NULL)
		exit.notification_count += listener->list_pending(
		        listener->context, pending->termination->namespace, pending->cause,
		        &exit.notifications[exit.notification_count],
		        AGENT_EXIT_NOTIFICATIONS_MAX - exit.notification_count);
	buffer_init(&body, STATUS_MAX);
	agent_exit_write_status(&exit, &body);
	send_request(pending, "PATCH", KUBE_MERGE_PATCH,
	             record_path(pending->termination->namespace, pending->name, "/status"), &body,
	             status_written);
}

static void notified(void *context)
{
	enter(context, write_status, 0);
}

static void notify(struct pending_record *pending)
{
	const struct notification what = {
	        .notifier = &pending->writer->notifier,
	        .termination = pending->termination,
	        .reason = EVENT_REASON_EXIT,
	        .summary = pending->summary,
	        .exit_code = pending->exit_code,
	        .record = pending->name,
	        .fingerprint = pending->fingerprint,
	        .finished = notified,
	        .context = pending,
	};
	notification_start(&pending->notification, &what);
}

/* ---- The writer ---- */

void record_writer_init(struct record_writer *writer, struct event_loop *loop,
                        struct observer_metrics *metrics, int64_t failover_delay,
                        void (*recorded)(void *context, const char *namespace, const char *identity,
                                         int64_t ended_at),
                        void (*decreased)(void *context), void *context)
{
	*writer = (struct record_writer){.loop = loop,
	                                 .metrics = metrics,
	                                 .failover_delay = failover_delay,
	                                 .notifier = {.loop = loop, .metrics = metrics},
	                                 .recorded = recorded,
	                                 .decreased = decreased,
	                                 .context = context};
}

void record_writer_free(struct record_writer *writer)
{
	struct pending_record *next;
	for (struct pending_record *p = writer->first; p != NULL; p = next) {
		next = p->next;
		pending_record_free(p);
	}
}

void record_writer_print_pending(const struct record_writer *writer)
{
	for (const struct pending_record *p = writer->first; p != NULL; p = p->next)
		if (p->record != NULL && p->stage != notify && p->stage != write_status)
			print_record(p, "the observer is stopping");
}

void record_writer_set_leader(struct record_writer *writer, bool leader)
{
	bool began = leader && !writer->leader;
	writer->leader = leader;
	for (struct pending_record *p = writer->first; began && p != NULL; p = p->next)
		if (p->stage == check && p->request == NULL)
			enter(p, check, 0);
}

/* The static names, since the texts of exit do not live as long. */
static void take_words(struct pending_record *pending, const struct agent_exit *exit)
{
	static const char *const sources[] = {AGENT_EXIT_SOURCE_WATCHDOG, AGENT_EXIT_SOURCE_LOG,
	                                      AGENT_EXIT_SOURCE_KUBELET};
	enum cause cause = CAUSE_UNKNOWN;
	cause_from_name(exit->error_type, &cause);
	pending->cause = cause_name(cause);
	pending->failed = cause != CAUSE_COMPLETED;
	pending->source = sources[2];
	for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++)
		if (exit->source != NULL && strcmp(sources[i], exit->source) == 0)
			pending->source = sources[i];
}

static struct pending_record *add(struct record_writer *writer,
                                  const struct termination *termination,
                                  const struct agent_exit *exit)
{
	struct termination slim = *termination;
	struct pending_record *pending = calloc(1, sizeof *pending);
	slim.message = NULL;
	slim.patterns = slim.rules = (struct packed_texts){.bytes = NULL};
	slim.context = slim.running = (struct packed_texts){.bytes = NULL};
	if (pending == NULL || (pending->termination = termination_copy(&slim, 0)) == NULL) {
		free(pending);
		return NULL;
	}
	pending->writer = writer;
	pending->timer = (struct timer){.fire = fire, .context = pending};
	pending->duration = exit->duration;
	pending->max_rss_bytes = exit->max_rss_bytes;
	pending->cpu = exit->cpu;
	take_words(pending, exit);
	pending->exit_code = exit->exit_code;
	agent_exit_identity(exit, pending->identity);
	pending->ended_at =
	        exit->finished_at == AGENT_EXIT_UNKNOWN ? writer->loop->wall : exit->finished_at;
	snprintf(pending->summary, sizeof pending->summary, "%s",
	         exit->summary == NULL ? "" : exit->summary);
	snprintf(pending->fingerprint, sizeof pending->fingerprint, "%s",
	         exit->fingerprint == NULL ? "" : exit->fingerprint);
	agent_exit_name(termination->pod, termination->uid, termination->container,
	                termination->restart_count,
	                strcmp(pending->cause, cause_name(CAUSE_NEVER_STARTED)) != 0,
	                pending->name);
	pending->bytes = sizeof *pending + 1024;
	pending->next = writer->first;
	if (writer->first != NULL)
		writer->first->previous = pending;
	writer->first = pending;
	writer->count++;
	writer->bytes += pending->bytes;
	return pending;
}

bool record_writer_add(struct record_writer *writer, const struct termination *termination,
                       const struct agent_exit *exit, const char *log_missed)
{
	struct buffer text;
	buffer_init(&text, AGENT_EXIT_SIZE_MAX);
	agent_exit_write(exit, &text);
	char *record = buffer_steal(&text);
	struct pending_record *pending = record == NULL ? NULL : add(writer, termination, exit);
	if (pending == NULL) {
		free(record);
		return false;
	}
	size_t length = strlen(record) + 1;
	char *fitted = realloc(record, length);
	pending->record = fitted == NULL ? record : fitted;
	pending->log_missed = log_missed;
	pending->bytes += length;
	writer->bytes += length;
	if (writer->leader)
		enter(pending, write_record, 0);
	else
		hold(pending);
	make_room(writer);
	return true;
}

bool record_writer_add_written(struct record_writer *writer, const struct termination *termination,
                               const json *object)
{
	struct agent_exit exit;
	if (!agent_exit_read(object, &exit, NULL) || is_notified(&exit))
		return true;
	struct pending_record *pending = add(writer, termination, &exit);
	if (pending == NULL)
		return false;
	/* The replica that wrote it may be sending its notifications now. */
	if (writer->leader)
		enter(pending, notify, 0);
	else
		hold(pending);
	return true;
}

static struct pending_record *find(const struct record_writer *writer, const char *name)
{
	struct pending_record *pending = writer->first;
	while (pending != NULL && strcmp(pending->name, name) != 0)
		pending = pending->next;
	return pending;
}

void record_writer_add_found(struct record_writer *writer, const struct agent_exit *exit)
{
	if (exit->pod == NULL || exit->uid == NULL || exit->container == NULL ||
	    exit->error_type == NULL || is_notified(exit) ||
	    writer->bytes > RECORD_WRITER_CROWDED || find(writer, exit->name) != NULL)
		return;
	bool ran = strcmp(exit->error_type, cause_name(CAUSE_NEVER_STARTED)) != 0;
	const struct termination termination = {
	        .kind = ran ? TERMINATION_REPORTED : TERMINATION_NEVER_STARTED,
	        .namespace = exit->namespace,
	        .pod = exit->pod,
	        .uid = exit->uid,
	        .node = exit->node,
	        .container = exit->container,
	        .agent = exit->agent,
	        .restart_count = exit->restart_count,
	};
	struct pending_record *pending = add(writer, &termination, exit);
	if (pending != NULL)
		enter(pending, check, writer->failover_delay);
}
