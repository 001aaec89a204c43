#include "observer/record/record_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/diagnosis/classify.h"
#include "lib/base/log.h"
#include "observer/record/publication.h"

#define RETRY_REFUSED (30 * SECOND)

static void check(struct publication *publication);
static void write_record(struct publication *publication);

char *publish_path(const char *namespace, const char *name, const char *subresource)
{
	return engine_text(
	        "/apis/" AGENT_EXIT_API_VERSION "/namespaces/%s/" AGENT_EXIT_PLURAL "%s%s%s",
	        namespace, name == NULL ? "" : "/", name == NULL ? "" : name, subresource);
}

/* ---- Coming and going ---- */

static void publication_free(struct publication *publication)
{
	struct publisher *publisher = publication->publisher;
	engine_cancel(publisher->engine, publication->request);
	engine_clear_timer(publisher->engine, &publication->timer);
	if (publication->previous != NULL)
		publication->previous->next = publication->next;
	else
		publisher->first = publication->next;
	if (publication->next != NULL)
		publication->next->previous = publication->previous;
	publisher->count--;
	publisher->bytes -= publication->bytes;
	free(publication->record);
	free(publication->end);
	free(publication);
}

void publication_over(struct publication *publication)
{
	struct publisher *publisher = publication->publisher;
	publication_free(publication);
	publisher->less(publisher->context);
}

static void fire(void *context)
{
	struct publication *publication = context;
	publication->stage(publication);
}

void publication_enter(struct publication *publication,
                       void (*stage)(struct publication *publication), int64_t delay)
{
	struct engine *engine = publication->publisher->engine;
	if (stage != publication->stage)
		publication->attempts = 0;
	publication->stage = stage;
	engine_set_timer(engine, &publication->timer, engine->now + delay);
}

/* The stage again, later; refused: the server means it, so more slowly. */
void publication_again(struct publication *publication, const struct kube_response *response)
{
	struct engine *engine = publication->publisher->engine;
	int64_t delay =
	        kube_retry_delay("GET", response, publication->attempts, engine_random(engine));
	if (delay < 0)
		delay = RETRY_REFUSED / 2 + (int64_t)(engine_random(engine) % (RETRY_REFUSED / 2));
	publication_enter(publication, publication->stage, delay);
}

void publication_ask(struct publication *publication, const char *method, const char *type,
                     char *path, struct buffer *body, request_finish *finish)
{
	size_t length = body == NULL ? 0 : body->length;
	const struct request request = {
	        .ask = {.method = method,
	                .content_type = type,
	                .path = path,
	                .body = body == NULL ? NULL : buffer_steal(body),
	                .body_length = length},
	        .finish = finish,
	        .context = publication,
	};
	publication->attempts++;
	publication->request = engine_request(publication->publisher->engine, &request);
	if (publication->request == NULL)
		publication_enter(publication, publication->stage, SECOND);
}

/* ---- HOLD and CHECK ---- */

static bool all_told(const struct agent_exit *exit)
{
	for (size_t i = 0; i < exit->notification_count; i++)
		if (strcmp(exit->notifications[i].receiver, "event-pod") == 0)
			return true;
	return false;
}

static void checked(void *context, struct kube_response *response, const struct error *error)
{
	struct publication *publication = context;
	struct agent_exit exit;
	json *object;
	publication->request = NULL;
	if (error != NULL && response->status == 404 && publication->record != NULL) {
		publication_enter(publication, write_record, 0);
		return;
	}
	if (error != NULL && response->status == 404) {
		publication_over(publication);
		return;
	}
	if (error != NULL) {
		publication_again(publication, response);
		return;
	}
	struct arena *_cleanup_arena_ arena = arena_new(0);
	if (arena != NULL &&
	    json_parse(arena, buffer_text(&response->body), response->body.length, 0, &object,
	               NULL) != JSON_INVALID &&
	    agent_exit_read(object, &exit, NULL) && all_told(&exit))
		publication_over(publication);
	else
		publication_enter(publication, publication_tell, 0);
}

static void check(struct publication *publication)
{
	publication_ask(publication, NULL, NULL,
	                publish_path(publication->end->namespace, publication->name, ""), NULL,
	                checked);
}

/* ---- WRITE ---- */

static void count_written(struct publication *publication)
{
	struct publisher *publisher = publication->publisher;
	const struct agent_exit exit = {
	        .namespace = publication->end->namespace,
	        .error_type = publication->cause,
	        .silent = publication->silent,
	        .source = publication->source,
	};
	publisher->written++;
	meters_exit(publisher->meters, &exit, publication->end->agent);
	meters_run(publisher->meters, exit.namespace, publication->end->agent, publication->failed,
	           publication->duration, publication->max_rss_bytes, publication->cpu);
}

/* Nothing is lost: what cannot be stored is printed. */
static void print_record(const struct publication *publication, const char *error)
{
	struct log_line line;
	log_begin(&line, LOG_ERROR, "a record cannot be written, here it is");
	log_text(&line, "error", error);
	log_json(&line, "record", publication->record);
	log_end(&line);
}

static void give_up(struct publication *publication, const struct error *error)
{
	print_record(publication, error->message);
	meters_count(publication->publisher->meters, COUNTER_LOST);
	publication_over(publication);
}

static void refused(struct publication *publication, const struct kube_response *response,
                    const struct error *error)
{
	int64_t now = publication->publisher->engine->now;
	static struct log_limit limit;
	uint64_t dropped;
	if (publication->refused_at == 0) {
		publication->refused_at = now;
		if (log_limit_pass(&limit, &dropped))
			log_message(LOG_ERROR, "a record is refused", "error", error->message,
			            NULL);
	}
	/* What is not valid now will not be later. */
	bool senseless =
	        response->status == 400 || response->status == 413 || response->status == 422;
	if (senseless || now - publication->refused_at >= PUBLISH_GIVE_UP)
		give_up(publication, error);
	else
		publication_again(publication, response);
}

static void written(void *context, struct kube_response *response, const struct error *error)
{
	struct publication *publication = context;
	publication->request = NULL;
	bool ours = error == NULL || (response->status == 409 && publication->unsure);
	if (ours) {
		count_written(publication);
		publication_enter(publication, publication_tell, 0);
	} else if (response->status == 409) {
		publication_enter(publication, check, publication->publisher->step_in);
	} else if (response->status >= 400 && response->status < 500 && response->status != 429) {
		refused(publication, response, error);
	} else {
		publication->unsure = publication->unsure || response->status != 429;
		publication_again(publication, response);
	}
}

static void write_record(struct publication *publication)
{
	struct buffer body;
	buffer_init(&body, AGENT_EXIT_SIZE_MAX);
	buffer_append_text(&body, publication->record);
	publication_ask(publication, "POST", NULL,
	                publish_path(publication->end->namespace, NULL, ""), &body, written);
}

/* ---- The publisher ---- */

void publisher_init(struct publisher *publisher, struct engine *engine, struct meters *meters,
                    int64_t step_in, void (*less)(void *context), void *context)
{
	*publisher = (struct publisher){.engine = engine,
	                                .meters = meters,
	                                .step_in = step_in,
	                                .less = less,
	                                .context = context};
}

void publisher_free(struct publisher *publisher)
{
	struct publication *next;
	for (struct publication *p = publisher->first; p != NULL; p = next) {
		next = p->next;
		publication_free(p);
	}
}

void publisher_print(const struct publisher *publisher)
{
	for (const struct publication *p = publisher->first; p != NULL; p = p->next)
		if (p->record != NULL && p->stage != publication_tell)
			print_record(p, "this replica stops");
}

void publisher_set_leader(struct publisher *publisher, bool leader)
{
	bool began = leader && !publisher->leader;
	publisher->leader = leader;
	for (struct publication *p = publisher->first; began && p != NULL; p = p->next)
		if (p->stage == check && p->request == NULL)
			publication_enter(p, check, 0);
}

/* The static words, whatever text they came from. */
static void take_words(struct publication *publication, const struct agent_exit *exit)
{
	static const char *const sources[] = {AGENT_EXIT_SOURCE_WATCHDOG, AGENT_EXIT_SOURCE_LOG,
	                                      AGENT_EXIT_SOURCE_KUBELET};
	enum cause cause = CAUSE_UNKNOWN;
	cause_from_name(exit->error_type, &cause);
	publication->cause = cause_name(cause);
	publication->failed = cause != CAUSE_COMPLETED;
	publication->source = sources[2];
	for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++)
		if (exit->source != NULL && strcmp(sources[i], exit->source) == 0)
			publication->source = sources[i];
}

static struct publication *add(struct publisher *publisher, const struct end *end,
                               const struct agent_exit *exit)
{
	struct end slim = *end;
	struct publication *publication = calloc(1, sizeof *publication);
	slim.message = NULL;
	slim.patterns = slim.context = (struct texts){.bytes = NULL};
	if (publication == NULL || (publication->end = end_copy(&slim, 0)) == NULL) {
		free(publication);
		return NULL;
	}
	publication->publisher = publisher;
	publication->timer = (struct timer){.fire = fire, .context = publication};
	publication->silent = exit->silent;
	publication->duration = exit->duration;
	publication->max_rss_bytes = exit->max_rss_bytes;
	publication->cpu = exit->cpu;
	take_words(publication, exit);
	snprintf(publication->summary, sizeof publication->summary, "%s",
	         exit->summary == NULL ? "" : exit->summary);
	snprintf(publication->fingerprint, sizeof publication->fingerprint, "%s",
	         exit->fingerprint == NULL ? "" : exit->fingerprint);
	agent_exit_name(end->pod, end->uid, end->container, end->run,
	                strcmp(publication->cause, cause_name(CAUSE_NEVER_STARTED)) != 0,
	                publication->name);
	publication->bytes = sizeof *publication + 1024;
	publication->next = publisher->first;
	if (publisher->first != NULL)
		publisher->first->previous = publication;
	publisher->first = publication;
	publisher->count++;
	publisher->bytes += publication->bytes;
	return publication;
}

bool publish(struct publisher *publisher, const struct end *end, const struct agent_exit *exit)
{
	struct buffer text;
	buffer_init(&text, AGENT_EXIT_SIZE_MAX);
	agent_exit_write(exit, &text);
	char *record = buffer_steal(&text);
	struct publication *publication = record == NULL ? NULL : add(publisher, end, exit);
	if (publication == NULL) {
		free(record);
		return false;
	}
	size_t length = strlen(record) + 1;
	char *fitted = realloc(record, length);
	publication->record = fitted == NULL ? record : fitted;
	publication->bytes += length;
	publisher->bytes += length;
	if (publisher->leader)
		publication_enter(publication, write_record, 0);
	else
		publication_enter(publication, check, publisher->step_in);
	return true;
}

bool publish_found(struct publisher *publisher, const struct end *end, const json *object)
{
	struct agent_exit exit;
	if (!agent_exit_read(object, &exit, NULL) || all_told(&exit))
		return true;
	struct publication *publication = add(publisher, end, &exit);
	if (publication == NULL)
		return false;
	/* Whoever wrote it may be telling it. */
	if (publisher->leader)
		publication_enter(publication, publication_tell, 0);
	else
		publication_enter(publication, check, publisher->step_in);
	return true;
}
