#include "observer/evidence/evidence.h"

#include <stdlib.h>
#include <string.h>

#include "lib/diagnosis/classify.h"
#include "observer/evidence/watchdog_report.h"
#include "observer/evidence/log_reader.h"
#include "observer/record/record_builder.h"

#define FOLLOW_WAIT    (3 * SECOND)
#define LINE_AGAIN     SECOND
#define CHECK_ATTEMPTS 5
#define CONTEXT_MAX    ((size_t)8 * 1024)
#define VERDICT_ARENA  ((size_t)1024 * 1024)

struct death {
	struct death *previous;
	struct death *next;
	struct deaths *deaths;
	struct live_pod *pod;
	struct end *end;
	void (*stage)(struct death *death);
	unsigned attempts; /* of the question whether the pod exists, or of the check */
	bool success;      /* no record will come of it */
	bool asked_again;  /* for the line */
	char *line;
	char *log;
	size_t log_length;
	bool log_cut;
	struct request *request;
	struct log_read *read;
	struct timer timer;
};

static void ask_pod(struct death *death);
static void check(struct death *death);
static void gather(struct death *death);
static void read_line(struct death *death);

void deaths_init(struct deaths *deaths, struct engine *engine, struct meters *meters,
                 struct publisher *publisher, void (*less)(void *context), void *context)
{
	*deaths = (struct deaths){.engine = engine,
	                          .meters = meters,
	                          .publisher = publisher,
	                          .less = less,
	                          .context = context};
}

static void death_free(struct death *death)
{
	struct deaths *deaths = death->deaths;
	engine_cancel(deaths->engine, death->request);
	engine_clear_timer(deaths->engine, &death->timer);
	logs_cancel(death->read);
	if (death->previous != NULL)
		death->previous->next = death->next;
	else
		deaths->first = death->next;
	if (death->next != NULL)
		death->next->previous = death->previous;
	deaths->count--;
	live_release(death->pod);
	free(death->end);
	free(death->line);
	free(death->log);
	free(death);
}

void deaths_free(struct deaths *deaths)
{
	struct death *next;
	for (struct death *death = deaths->first; death != NULL; death = next) {
		next = death->next;
		death_free(death);
	}
}

static void over(struct death *death)
{
	struct deaths *deaths = death->deaths;
	death_free(death);
	deaths->less(deaths->context);
}

static void fire(void *context)
{
	struct death *death = context;
	death->stage(death);
}

static void enter(struct death *death, void (*stage)(struct death *death), int64_t delay)
{
	death->stage = stage;
	engine_set_timer(death->deaths->engine, &death->timer, death->deaths->engine->now + delay);
}

/* ---- Verdict ---- */

static bool make_verdict(struct death *death, struct arena *arena, struct verdict *ret_verdict)
{
	struct line line;
	struct log_end log = {
	        .bytes = death->log, .length = death->log_length, .cut = death->log_cut};
	bool has_line = death->line != NULL &&
	                line_read(arena, death->line, strlen(death->line), death->end->uid, &line);
	return verdict_make(arena, death->end, has_line ? &line : NULL,
	                    death->log == NULL ? NULL : &log, ret_verdict);
}

static void judge(struct death *death)
{
	struct deaths *deaths = death->deaths;
	struct arena *_cleanup_arena_ arena = arena_new(VERDICT_ARENA);
	struct verdict verdict;
	if (arena == NULL || !make_verdict(death, arena, &verdict)) {
		enter(death, judge, SECOND); /* no memory now */
		return;
	}
	const struct agent_exit *exit = &verdict.exit;
	if (!verdict.record && deaths->publisher->leader)
		meters_run(deaths->meters, death->end->namespace, death->end->agent, false,
		           exit->duration, exit->max_rss_bytes, exit->cpu);
	if (verdict.record && !publish(deaths->publisher, death->end, exit)) {
		enter(death, judge, SECOND);
		return;
	}
	over(death);
}

/* ---- Evidence ---- */

static void log_came(void *context, char *text, size_t length, bool cut)
{
	struct death *death = context;
	death->read = NULL;
	death->log = text;
	death->log_length = length;
	death->log_cut = cut;
	if (death->end->watched && !death->asked_again) {
		death->asked_again = true;
		enter(death, read_line, LINE_AGAIN);
		return;
	}
	judge(death);
}

static void read_log(struct death *death)
{
	if (death->pod->gone || death->success || death->end->kind == END_NEVER_STARTED) {
		judge(death);
		return;
	}
	death->read = logs_read_tail(death->deaths->engine, death->end, log_came, death);
	if (death->read == NULL)
		enter(death, read_log, SECOND);
}

static void line_came(void *context, char *text, size_t length, bool cut)
{
	struct death *death = context;
	(void)length;
	(void)cut;
	death->read = NULL;
	death->line = text;
	if (text != NULL || death->asked_again)
		judge(death);
	else
		read_log(death);
}

static void read_line(struct death *death)
{
	if (death->pod->gone) {
		judge(death);
		return;
	}
	death->read = logs_read_line(death->deaths->engine, death->end, line_came, death);
	if (death->read == NULL)
		enter(death, read_line, SECOND);
}

/* What the follow read, or what there is without it. */
static void take_followed(struct death *death)
{
	const char *line = follow_line(death->pod, death->end);
	engine_clear_timer(death->deaths->engine, &death->timer);
	if (line != NULL)
		death->line = strdup(line);
	if (death->line != NULL)
		judge(death);
	else
		read_line(death);
}

/* As far as the kubelet and the pod say. */
static enum cause cause_of(const struct end *end)
{
	const struct observation observation = {
	        .ended = end_has_code(end) ? ENDED_EXITED : ENDED_UNKNOWN,
	        .exit_code = end->exit_code,
	        .container_reason = end->reason,
	        .pod_reason = end->pod_reason,
	        .disruption = end->disruption,
	        .told_to_terminate = end->told_to_terminate,
	};
	return classify(&observation, NULL);
}

static void gather(struct death *death)
{
	/* Nobody responses for a lost node: its pods' logs would be waited for in vain, all
	 * requests that there may be would wait, and the logs of other nodes would be gone
	 * meanwhile. */
	if (death->end->kind == END_NEVER_STARTED ||
	    (death->end->kind == END_UNSEEN && cause_of(death->end) == CAUSE_NODE_LOST))
		judge(death);
	else if (!death->end->watched)
		read_log(death);
	else if (follow_line(death->pod, death->end) == NULL && follow_is_open(death->pod))
		enter(death, take_followed, FOLLOW_WAIT);
	else
		take_followed(death);
}

void deaths_followed(struct deaths *deaths, struct live_pod *pod)
{
	/* On the next turn: this may be called while the death is being opened. */
	for (struct death *death = deaths->first; death != NULL; death = death->next)
		if (death->pod == pod && death->stage == take_followed && death->timer.index != 0)
			enter(death, take_followed, 0);
}

/* ---- The pod itself ---- */

static bool is_its_pod(const struct death *death, const struct kube_response *response)
{
	json *object;
	struct arena *_cleanup_arena_ arena = arena_new(0);
	return arena != NULL &&
	       json_parse(arena, buffer_text(&response->body), response->body.length, 0, &object,
	                  NULL) != JSON_INVALID &&
	       json_string_is(json_find(object, "metadata", "uid", NULL), death->end->uid);
}

static void pod_came(void *context, struct kube_response *response, const struct error *error)
{
	struct death *death = context;
	death->request = NULL;
	if (error == NULL && is_its_pod(death, response)) {
		over(death);
		return;
	}
	int64_t delay = error == NULL ? -1
	                              : kube_retry_delay("GET", response, ++death->attempts,
	                                                 engine_random(death->deaths->engine));
	/* However long: nothing could be written meanwhile either. */
	if (delay >= 0)
		enter(death, ask_pod, delay);
	else
		gather(death);
}

static void ask_pod(struct death *death)
{
	const struct request request = {
	        .ask = {.path = engine_text("/api/v1/namespaces/%s/pods/%s", death->end->namespace,
	                                    death->end->pod),
	                .accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,"
	                          "application/json"},
	        .finish = pod_came,
	        .context = death,
	};
	death->request = engine_request(death->deaths->engine, &request);
	if (death->request == NULL)
		enter(death, ask_pod, SECOND);
}

/* ---- Opening ---- */

static void checked(void *context, struct kube_response *response, const struct error *error)
{
	struct death *death = context;
	json *object;
	death->request = NULL;
	if (error != NULL) {
		int64_t delay = kube_retry_delay("GET", response, ++death->attempts,
		                                 engine_random(death->deaths->engine));
		if (delay >= 0 && death->attempts < CHECK_ATTEMPTS)
			enter(death, check, delay);
		else
			gather(death); /* not there, or to be found out when it is written */
		return;
	}
	struct arena *_cleanup_arena_ arena = arena_new(0);
	if (arena != NULL && json_parse(arena, buffer_text(&response->body), response->body.length,
	                                0, &object, NULL) != JSON_INVALID)
		publish_found(death->deaths->publisher, death->end, object);
	over(death);
}

static void check(struct death *death)
{
	char name[AGENT_EXIT_NAME_SIZE];
	const struct end *end = death->end;
	agent_exit_name(end->pod, end->uid, end->container, end->run,
	                end->kind != END_NEVER_STARTED, name);
	const struct request request = {
	        .ask = {.path = publish_path(end->namespace, name, "")},
	        .finish = checked,
	        .context = death,
	};
	death->request = engine_request(death->deaths->engine, &request);
	if (death->request == NULL)
		enter(death, check, SECOND);
}

/* Code 0 and nobody says otherwise: no record, whatever the logs say. */
static bool is_success(const struct end *end)
{
	return cause_of(end) == CAUSE_COMPLETED && !reason_is(end->reason, "OOMKilled");
}

bool death_open(struct deaths *deaths, struct live_pod *pod, const struct end *end, bool listed)
{
	bool success = is_success(end);
	/* Successes of before we began were counted by whoever led then. */
	if (success && (listed || !deaths->publisher->leader))
		return true;
	struct death *death = calloc(1, sizeof *death);
	if (death == NULL || (death->end = end_copy(end, CONTEXT_MAX)) == NULL) {
		free(death);
		return false;
	}
	death->deaths = deaths;
	death->pod = pod;
	death->success = success;
	death->timer = (struct timer){.fire = fire, .context = death};
	live_use(pod);
	death->next = deaths->first;
	if (deaths->first != NULL)
		deaths->first->previous = death;
	deaths->first = death;
	deaths->count++;
	deaths->opened++;
	/* On the next turn: opened while an event is read, whose bytes belong to a request. */
	bool vanished = pod->gone && end->kind != END_RUN;
	enter(death, vanished ? ask_pod : listed ? check : gather, 0);
	return true;
}
