#include "observer/evidence/evidence.h"

#include <stdlib.h>
#include <string.h>

#include "lib/diagnosis/classify.h"
#include "observer/pod/pod_lookup.h"
#include "observer/pod/watchdog_report.h"
#include "observer/evidence/log_reader.h"
#include "observer/record/record_builder.h"

#define FOLLOW_WAIT     (3 * SECOND)
#define OWN_FOLLOW_WAIT (10 * SECOND)
#define REPORT_AGAIN    SECOND
#define RESTART_LAG     (SECOND / 4)
#define CHECK_ATTEMPTS  5
#define CONTEXT_MAX     ((size_t)8 * 1024)
#define RECORD_ARENA    ((size_t)1024 * 1024)

struct evidence {
	struct evidence *previous;
	struct evidence *next;
	struct evidence_gatherer *gatherer;
	struct cached_pod *pod;
	struct termination *termination;
	struct fair_holder *holder; /* its namespace, among all that are open */
	int64_t gathering_since;    /* FOLLOW, REPORT and LOG; 0: in another stage */
	void (*stage)(struct evidence *evidence);
	unsigned attempts;           /* of the requests in EXISTS or CHECK */
	bool success;                /* there will be no record */
	bool report_requested_again; /* REPORT is entered a second time */
	char *report;
	char *log;
	size_t log_length;
	bool log_cut;
	struct request *request;
	struct log_reader *reader;
	struct timer timer;
};

static void hurry(void *context);
static void request_pod(struct evidence *evidence);
static void check(struct evidence *evidence);
static void gather(struct evidence *evidence);
static void read_report(struct evidence *evidence);
static void read_log(struct evidence *evidence);

void evidence_gatherer_init(struct evidence_gatherer *gatherer, struct event_loop *loop,
                            struct observer_metrics *metrics, struct record_writer *writer,
                            void (*decreased)(void *context), void *context)
{
	*gatherer = (struct evidence_gatherer){.loop = loop,
	                                       .metrics = metrics,
	                                       .writer = writer,
	                                       .crowded = {.fire = hurry, .context = gatherer},
	                                       .decreased = decreased,
	                                       .context = context};
}

static void evidence_free(struct evidence *evidence)
{
	struct evidence_gatherer *gatherer = evidence->gatherer;
	event_loop_cancel_request(gatherer->loop, evidence->request);
	event_loop_clear_timer(gatherer->loop, &evidence->timer);
	log_reader_cancel(evidence->reader);
	if (evidence->previous != NULL)
		evidence->previous->next = evidence->next;
	else
		gatherer->first = evidence->next;
	if (evidence->next != NULL)
		evidence->next->previous = evidence->previous;
	gatherer->count--;
	fair_share_give_back(&gatherer->open, evidence->holder, 1);
	fair_share_release(&gatherer->open, evidence->holder);
	cached_pod_release(evidence->pod);
	free(evidence->termination);
	free(evidence->report);
	free(evidence->log);
	free(evidence);
}

void evidence_gatherer_free(struct evidence_gatherer *gatherer)
{
	struct evidence *next;
	for (struct evidence *evidence = gatherer->first; evidence != NULL; evidence = next) {
		next = evidence->next;
		evidence_free(evidence);
	}
	event_loop_clear_timer(gatherer->loop, &gatherer->crowded);
}

static void finish(struct evidence *evidence)
{
	struct evidence_gatherer *gatherer = evidence->gatherer;
	evidence_free(evidence);
	gatherer->decreased(gatherer->context);
}

static void fire(void *context)
{
	struct evidence *evidence = context;
	evidence->stage(evidence);
}

static void enter(struct evidence *evidence, void (*stage)(struct evidence *evidence),
                  int64_t delay)
{
	evidence->stage = stage;
	event_loop_set_timer(evidence->gatherer->loop, &evidence->timer,
	                     evidence->gatherer->loop->now + delay);
}

/* ---- BUILD ---- */

static bool build_record(struct evidence *evidence, struct arena *arena,
                         struct built_record *ret_built)
{
	struct watchdog_report report;
	struct log_tail log = {
	        .bytes = evidence->log, .length = evidence->log_length, .cut = evidence->log_cut};
	bool has_report = evidence->report != NULL &&
	                  watchdog_report_read(arena, evidence->report, strlen(evidence->report),
	                                       evidence->termination->uid, &report);
	return record_build(arena, evidence->termination, has_report ? &report : NULL,
	                    evidence->log == NULL ? NULL : &log, ret_built);
}

/* The watchdog counts on for as long as it lives: of each agent what is new is counted, once. */
static void count_lost_reports(struct evidence *evidence, int64_t reports_lost)
{
	struct cached_agent *agent =
	        cached_pod_find_agent(evidence->pod, evidence->termination->container);
	if (agent == NULL || reports_lost <= 0 || reports_lost > UINT32_MAX)
		return;
	uint32_t lost = (uint32_t)reports_lost;
	uint32_t more = lost >= agent->reports_lost ? lost - agent->reports_lost : lost;
	agent->reports_lost = lost;
	if (evidence->gatherer->writer->leader && more > 0)
		observer_metrics_count_lost_reports(evidence->gatherer->metrics,
		                                    evidence->termination->namespace, more);
}

static void see_failure(struct evidence *evidence, int64_t finished_at, const char *fingerprint)
{
	observer_metrics_see_failure(evidence->gatherer->metrics, evidence->termination->namespace,
	                             evidence->termination->agent, finished_at, fingerprint);
}

/* What the follower has by now of the agent's own log. */
static bool take_followed(struct evidence *evidence)
{
	bool complete = false;
	struct log_text text =
	        log_follower_take_log(evidence->pod, evidence->termination, &complete);
	evidence->log = text.bytes;
	evidence->log_length = text.length;
	evidence->log_cut = text.cut;
	return complete && text.bytes != NULL;
}

static void build(struct evidence *evidence)
{
	struct evidence_gatherer *gatherer = evidence->gatherer;
	evidence->gathering_since = 0;
	if (evidence->log == NULL && !evidence->termination->watched)
		take_followed(evidence); /* it may have come meanwhile */
	const char *missed = evidence->log != NULL
	                             ? NULL
	                             : log_follower_missed(evidence->pod, evidence->termination);
	struct arena *_cleanup_arena_ arena = arena_new(RECORD_ARENA);
	struct built_record built;
	if (arena == NULL || !build_record(evidence, arena, &built)) {
		enter(evidence, build, SECOND); /* there is no memory now */
		return;
	}
	const struct agent_exit *exit = &built.exit;
	if (!built.record && gatherer->writer->leader)
		observer_metrics_count_run(gatherer->metrics, evidence->termination->namespace,
		                           evidence->termination->agent, false, exit->duration,
		                           exit->max_rss_bytes, exit->cpu);
	if (built.record &&
	    !record_writer_add(gatherer->writer, evidence->termination, exit, missed)) {
		enter(evidence, build, SECOND);
		return;
	}
	if (built.failed)
		see_failure(evidence,
		            exit->finished_at > 0 ? exit->finished_at : gatherer->loop->wall,
		            exit->fingerprint);
	count_lost_reports(evidence, exit->reports_lost);
	finish(evidence);
}

/* ---- FOLLOW, REPORT and LOG ---- */

/* The container runs again, as the next run. */
static bool is_restarted(const struct evidence *evidence)
{
	const struct cached_agent *agent =
	        cached_pod_find_agent(evidence->pod, evidence->termination->container);
	return agent != NULL && agent->running == evidence->termination->restart_count + 1;
}

/* A log is asked for by container, not by run: where the container was started again meanwhile it
 * may be the next run's, and this one's is the previous. */
static void confirm_log(struct evidence *evidence)
{
	if (evidence->termination->previous || !is_restarted(evidence)) {
		build(evidence);
		return;
	}
	evidence->termination->previous = true;
	read_log(evidence);
}

static void log_received(void *context, char *text, size_t length, bool cut)
{
	struct evidence *evidence = context;
	evidence->reader = NULL;
	if (text != NULL) {
		free(evidence->log);
		evidence->log = text;
		evidence->log_length = length;
		evidence->log_cut = cut;
	}
	if (evidence->termination->watched && !evidence->report_requested_again) {
		evidence->report_requested_again = true;
		enter(evidence, read_report, REPORT_AGAIN);
		return;
	}
	/* The watch may be behind the log. */
	bool may_restart = !evidence->termination->final && !evidence->termination->previous;
	enter(evidence, confirm_log, text != NULL && may_restart ? RESTART_LAG : 0);
}

static void read_log(struct evidence *evidence)
{
	if (evidence->pod->gone || evidence->success ||
	    evidence->termination->kind == TERMINATION_NEVER_STARTED) {
		build(evidence);
		return;
	}
	if (is_restarted(evidence))
		evidence->termination->previous = true;
	evidence->reader = log_reader_read_tail(evidence->gatherer->loop, evidence->termination,
	                                        log_received, evidence);
	if (evidence->reader == NULL)
		enter(evidence, read_log, SECOND);
}

static void report_received(void *context, char *text, size_t length, bool cut)
{
	struct evidence *evidence = context;
	(void)length;
	(void)cut;
	evidence->reader = NULL;
	evidence->report = text;
	if (text != NULL)
		build(evidence);
	else if (evidence->report_requested_again)
		confirm_log(evidence);
	else
		read_log(evidence);
}

static void read_report(struct evidence *evidence)
{
	if (evidence->pod->gone) {
		build(evidence);
		return;
	}
	evidence->reader = log_reader_read_report(evidence->gatherer->loop, evidence->termination,
	                                          report_received, evidence);
	if (evidence->reader == NULL)
		enter(evidence, read_report, SECOND);
}

/* The report that the follower has read, or else the log itself. */
static void take_followed_report(struct evidence *evidence)
{
	const struct cached_log *report = log_follower_report(evidence->pod, evidence->termination);
	event_loop_clear_timer(evidence->gatherer->loop, &evidence->timer);
	if (report != NULL)
		evidence->report = strndup(report->bytes, report->length);
	if (evidence->report != NULL)
		build(evidence);
	else
		read_report(evidence);
}

/* What the follower has read of the agent's own log, and where that is not all of it the log. */
static void take_followed_log(struct evidence *evidence)
{
	event_loop_clear_timer(evidence->gatherer->loop, &evidence->timer);
	if (take_followed(evidence))
		build(evidence);
	else
		read_log(evidence);
}

static void wait_for_follower(struct evidence *evidence, void (*stage)(struct evidence *evidence))
{
	if (log_follower_is_open(evidence->pod, evidence->termination))
		enter(evidence, stage,
		      evidence->termination->watched ? FOLLOW_WAIT : OWN_FOLLOW_WAIT);
	else
		stage(evidence);
}

/* Those that take too long, of the namespace with the most, end with what there is. */
static void hurry(void *context)
{
	struct evidence_gatherer *gatherer = context;
	const struct fair_holder *largest = fair_share_largest(&gatherer->open);
	int64_t since = gatherer->loop->now - EVIDENCE_LOG_WAIT;
	struct evidence *next;
	for (struct evidence *evidence = gatherer->first; evidence != NULL; evidence = next) {
		next = evidence->next;
		if (gatherer->count <= EVIDENCE_CROWDED)
			return;
		if (evidence->holder != largest || evidence->gathering_since == 0 ||
		    evidence->gathering_since > since)
			continue;
		log_reader_cancel(evidence->reader);
		evidence->reader = NULL;
		event_loop_clear_timer(gatherer->loop, &evidence->timer);
		build(evidence);
	}
	if (gatherer->count > EVIDENCE_CROWDED)
		event_loop_set_timer(gatherer->loop, &gatherer->crowded,
		                     gatherer->loop->now + SECOND);
}

static void gather(struct evidence *evidence)
{
	evidence->gathering_since = evidence->gatherer->loop->now;
	/* Nobody responds for a lost node: requests for its pods' logs would wait in vain and
	 * take the places of others, whose logs would be gone meanwhile. */
	if (evidence->termination->kind == TERMINATION_NEVER_STARTED ||
	    (evidence->termination->kind == TERMINATION_UNOBSERVED &&
	     termination_cause(evidence->termination) == CAUSE_NODE_LOST))
		build(evidence);
	else if (!evidence->termination->watched)
		wait_for_follower(evidence, take_followed_log);
	else if (log_follower_report(evidence->pod, evidence->termination) == NULL)
		wait_for_follower(evidence, take_followed_report);
	else
		take_followed_report(evidence);
}

void evidence_log_ended(struct evidence_gatherer *gatherer, struct cached_pod *pod)
{
	/* Later: this may be called while the evidence is being set up. */
	for (struct evidence *evidence = gatherer->first; evidence != NULL;
	     evidence = evidence->next)
		if (evidence->pod == pod && evidence->timer.index != 0 &&
		    (evidence->stage == take_followed_report ||
		     evidence->stage == take_followed_log) &&
		    !log_follower_is_open(pod, evidence->termination))
			enter(evidence, evidence->stage, 0);
}

/* ---- EXISTS ---- */

static void pod_received(void *context, struct kube_response *response, const struct error *error)
{
	struct evidence *evidence = context;
	evidence->request = NULL;
	if (error == NULL && pod_lookup_found(response, evidence->termination->uid)) {
		finish(evidence);
		return;
	}
	int64_t delay = error == NULL
	                        ? -1
	                        : kube_retry_delay("GET", response, ++evidence->attempts,
	                                           event_loop_random(evidence->gatherer->loop));
	/* Without an end: while the API server does not respond, nothing could be written either.
	 */
	if (delay >= 0)
		enter(evidence, request_pod, delay);
	else
		gather(evidence);
}

static void request_pod(struct evidence *evidence)
{
	const struct termination *termination = evidence->termination;
	evidence->request = pod_lookup_request(evidence->gatherer->loop, termination->namespace,
	                                       termination->pod, pod_received, evidence);
	if (evidence->request == NULL)
		enter(evidence, request_pod, SECOND);
}

/* ---- CHECK, and the beginning ---- */

static void checked(void *context, struct kube_response *response, const struct error *error)
{
	struct evidence *evidence = context;
	json *object;
	evidence->request = NULL;
	if (error != NULL) {
		int64_t delay = kube_retry_delay("GET", response, ++evidence->attempts,
		                                 event_loop_random(evidence->gatherer->loop));
		if (delay >= 0 && evidence->attempts < CHECK_ATTEMPTS)
			enter(evidence, check, delay);
		else
			gather(evidence); /* it does not exist, or writing it will show that it does
			                   */
		return;
	}
	struct arena *_cleanup_arena_ arena = arena_new(0);
	if (arena != NULL && json_parse(arena, buffer_text(&response->body), response->body.length,
	                                0, &object, NULL) != JSON_INVALID) {
		struct agent_exit exit;
		record_writer_add_written(evidence->gatherer->writer, evidence->termination,
		                          object);
		if (agent_exit_read(object, &exit, NULL) &&
		    strcmp(exit.error_type, cause_name(CAUSE_COMPLETED)) != 0)
			see_failure(evidence, exit.finished_at, exit.fingerprint);
	}
	finish(evidence);
}

static void check(struct evidence *evidence)
{
	char name[AGENT_EXIT_NAME_SIZE];
	const struct termination *termination = evidence->termination;
	agent_exit_name(termination->pod, termination->uid, termination->container,
	                termination->restart_count, termination->kind != TERMINATION_NEVER_STARTED,
	                name);
	const struct request request = {
	        .kube = {.path = record_path(termination->namespace, name, "")},
	        .finish = checked,
	        .context = evidence,
	};
	evidence->request = event_loop_add_request(evidence->gatherer->loop, &request);
	if (evidence->request == NULL)
		enter(evidence, check, SECOND);
}

bool evidence_gather(struct evidence_gatherer *gatherer, struct cached_pod *pod,
                     const struct termination *termination, bool listed)
{
	bool success = termination_is_success(termination);
	if (success)
		observer_metrics_see_success(gatherer->metrics, termination->namespace,
		                             termination->agent, termination->finished_at);
	/* Earlier successes were counted by the leader of that time. */
	if (success && (listed || !gatherer->writer->leader))
		return true;
	struct evidence *evidence = calloc(1, sizeof *evidence);
	if (evidence == NULL ||
	    (evidence->termination = termination_copy(termination, CONTEXT_MAX)) == NULL ||
	    (evidence->holder = fair_share_acquire(&gatherer->open, termination->namespace)) ==
	            NULL) {
		free(evidence == NULL ? NULL : evidence->termination);
		free(evidence);
		return false;
	}
	evidence->gatherer = gatherer;
	evidence->pod = pod;
	evidence->success = success;
	evidence->timer = (struct timer){.fire = fire, .context = evidence};
	cached_pod_acquire(pod);
	evidence->next = gatherer->first;
	if (gatherer->first != NULL)
		gatherer->first->previous = evidence;
	gatherer->first = evidence;
	fair_share_take(&gatherer->open, evidence->holder, 1);
	if (++gatherer->count > EVIDENCE_CROWDED && gatherer->crowded.index == 0)
		event_loop_set_timer(gatherer->loop, &gatherer->crowded,
		                     gatherer->loop->now + SECOND);
	gatherer->begun++;
	/* Later: this is called while an event is processed, whose bytes belong to a request. */
	bool vanished = pod->gone && termination->kind != TERMINATION_REPORTED;
	enter(evidence, vanished ? request_pod : listed ? check : gather, 0);
	return true;
}
