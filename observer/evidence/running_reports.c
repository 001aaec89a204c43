#include "observer/evidence/running_reports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/duration.h"
#include "lib/base/timestamp.h"
#include "lib/kube/names.h"
#include "lib/base/line_splitter.h"
#include "observer/evidence/log_reader.h"
#include "observer/notify/event.h"
#include "observer/notify/event_post.h"
#include "observer/pod/watchdog_report.h"

#define READ_TIMEOUT (20 * SECOND)
#define TAIL_LINES   50
#define BODY_MAX     ((size_t)16 * 1024)
#define DEADLINE_LAG (5 * SECOND) /* the report, and the node's clock */
#define OVERLAP      (2 * SECOND) /* sinceTime is whole seconds */
#define LOOK_COST    (SECOND / RUNNING_LOOKS_PER_SECOND)

/* Of one pod; the pod points to it. While its request is in flight it outlives its pod. */
struct running_look {
	struct running_look *previous;
	struct running_look *next;
	struct running_reports *reports;
	struct cached_pod *pod; /* NULL: gone */
	int64_t deadline;       /* 0: none is reported */
	int64_t silence;
	int64_t looked_at; /* what was printed before that was seen; nanoseconds since 1970 */
	int64_t sent_at;   /* of the request in flight */
	int64_t newest;    /* the time of the newest report that was seen */
	unsigned events;   /* of this look */
	struct request *request;
	struct timer timer;
	struct line_splitter splitter;
	struct arena *arena; /* while a request is in flight */
};

void running_reports_init(struct running_reports *reports, struct event_loop *loop,
                          struct observer_metrics *metrics)
{
	*reports = (struct running_reports){.loop = loop, .metrics = metrics};
}

void running_reports_set_leader(struct running_reports *reports, bool leader)
{
	reports->leader = leader;
}

static void free_look(struct running_look *look)
{
	struct running_reports *reports = look->reports;
	event_loop_clear_timer(reports->loop, &look->timer);
	if (look->previous != NULL)
		look->previous->next = look->next;
	else
		reports->first = look->next;
	if (look->next != NULL)
		look->next->previous = look->previous;
	line_splitter_free(&look->splitter);
	arena_free(look->arena);
	free(look);
}

void running_reports_free(struct running_reports *reports)
{
	struct running_look *next;
	for (struct running_look *look = reports->first; look != NULL; look = next) {
		next = look->next;
		event_loop_cancel_request(reports->loop, look->request);
		if (look->pod != NULL)
			look->pod->look = NULL;
		free_look(look);
	}
}

/* A request is not cancelled: this may be called while another one's bytes are received. */
void running_reports_end(struct cached_pod *cached)
{
	struct running_look *look = cached->look;
	cached->look = NULL;
	if (look == NULL)
		return;
	look->pod = NULL;
	event_loop_clear_timer(look->reports->loop, &look->timer);
	if (look->request == NULL)
		free_look(look);
}

/* ---- When ---- */

static bool is_watched(const struct cached_agent *agent)
{
	return agent->running >= 0 && agent->watched;
}

static int64_t pause_of(const struct running_look *look)
{
	if (look->silence > RUNNING_LOOKS_EVERY_MAX)
		return RUNNING_LOOKS_EVERY_MAX;
	return look->silence < RUNNING_LOOKS_EVERY_MIN ? RUNNING_LOOKS_EVERY_MIN : look->silence;
}

/* When there may be something new, since 1970; INT64_MAX: never. */
static int64_t next_look(const struct running_look *look)
{
	int64_t next = INT64_MAX;
	for (size_t i = 0; i < look->pod->agent_count; i++) {
		const struct cached_agent *agent = &look->pod->agents[i];
		if (!is_watched(agent))
			continue;
		int64_t begun =
		        agent->started_at > look->looked_at ? agent->started_at : look->looked_at;
		int64_t deadline = look->deadline == 0 || agent->started_at == 0
		                           ? INT64_MAX
		                           : clock_after(agent->started_at,
		                                         clock_after(look->deadline, DEADLINE_LAG));
		int64_t silence =
		        look->silence == 0 ? INT64_MAX : clock_after(begun, pause_of(look));
		if (deadline > look->looked_at && deadline < next)
			next = deadline;
		if (silence < next)
			next = silence;
	}
	return next;
}

static void schedule(struct running_look *look)
{
	struct event_loop *loop = look->reports->loop;
	int64_t next = look->pod == NULL ? INT64_MAX : next_look(look);
	if (next == INT64_MAX) {
		event_loop_clear_timer(loop, &look->timer);
		return;
	}
	int64_t wait = next > loop->wall ? next - loop->wall : 0;
	event_loop_set_timer(loop, &look->timer, clock_after(loop->now, wait));
}

/* ---- What was found ---- */

static void write_message(struct buffer *out, const struct running_report *report)
{
	bool silent = report->event == RUNNING_SILENT;
	buffer_printf(out, "Container %s %s", report->container,
	              silent ? "prints nothing" : "runs longer than its deadline");
	if (report->duration > 0) {
		buffer_append_text(out, ", for ");
		duration_print(out, report->duration - report->duration % SECOND);
	}
	if (report->payload_snippet != NULL && report->payload_snippet[0] != '\0')
		buffer_printf(out, ". Last output: %s", report->payload_snippet);
}

static void send_event(struct running_look *look, const struct running_report *report,
                       enum event_target target)
{
	char name[EVENT_NAME_SIZE];
	struct buffer message;
	struct buffer body;
	struct termination facts = *look->pod->facts;
	facts.container = report->container;
	if (target == EVENT_OWNER && (facts.owner_uid == NULL || facts.owner_uid[0] == '\0'))
		return;
	buffer_init(&message, BODY_MAX);
	write_message(&message, report);
	const struct event_text text = {.reason = report->event == RUNNING_SILENT
	                                                  ? "AgentStalled"
	                                                  : "AgentDeadlineExceeded",
	                                .message = buffer_text(&message)};
	snprintf(name, sizeof name, "lastword.%.64s.%.63s.%s-%llx.%s", facts.uid, facts.container,
	         running_event_name(report->event), (unsigned long long)(report->time / 1000000),
	         target == EVENT_POD ? "pod" : "owner");
	buffer_init(&body, BODY_MAX);
	event_write(&facts, target, name, &text, look->reports->loop->wall, &body);
	buffer_free(&message);
	event_post(look->reports->loop, facts.namespace, &body, NULL, NULL);
}

static bool take_line(void *context, const char *text, size_t length)
{
	struct running_look *look = context;
	struct running_report report;
	arena_reset(look->arena);
	if (look->pod == NULL ||
	    !running_report_read(look->arena, text, length, look->pod->facts->uid, &report) ||
	    report.time <= look->newest || look->events == RUNNING_EVENTS_MAX)
		return true;
	const struct cached_agent *agent = cached_pod_find_agent(look->pod, report.container);
	if (agent == NULL || !is_watched(agent))
		return true;
	look->newest = report.time;
	look->events++;
	observer_metrics_count_report(look->reports->metrics, look->pod->facts->namespace,
	                              running_event_name(report.event));
	static const char *const kinds[] = {[RUNNING_DEADLINE] = "1", [RUNNING_SILENT] = "2"};
	if (event_is_allowed(&look->reports->groups, look->pod->facts->namespace,
	                     kinds[report.event], look->reports->loop->now)) {
		send_event(look, &report, EVENT_POD);
		send_event(look, &report, EVENT_OWNER);
	}
	return true;
}

/* ---- Looking ---- */

static bool receive(void *context, const char *bytes, size_t length)
{
	struct running_look *look = context;
	return line_splitter_feed(&look->splitter, bytes, length, take_line, look);
}

static void finished(void *context, struct kube_response *response, const struct error *error)
{
	struct running_look *look = context;
	(void)response;
	look->request = NULL;
	line_splitter_end(&look->splitter, take_line, look);
	line_splitter_free(&look->splitter);
	arena_free(look->arena);
	look->arena = NULL;
	if (look->pod == NULL) {
		free_look(look);
		return;
	}
	/* What could not be read now is read with the next look. */
	if (error == NULL)
		look->looked_at = look->sent_at;
	schedule(look);
	int64_t earliest = look->reports->loop->now + RUNNING_LOOKS_EVERY_MIN / 2;
	if (look->timer.index != 0 && look->timer.due < earliest)
		event_loop_set_timer(look->reports->loop, &look->timer, earliest);
}

static void look_later(struct running_look *look)
{
	struct event_loop *loop = look->reports->loop;
	event_loop_set_timer(loop, &look->timer,
	                     loop->now + SECOND +
	                             (int64_t)(event_loop_random(loop) % (uint64_t)(5 * SECOND)));
}

static bool may_look(struct running_reports *reports)
{
	int64_t now = reports->loop->now;
	if (reports->paid_until > now + (RUNNING_LOOKS_BURST - 1) * LOOK_COST)
		return false;
	reports->paid_until = (reports->paid_until > now ? reports->paid_until : now) + LOOK_COST;
	return true;
}

static void look_now(void *context)
{
	struct running_look *look = context;
	struct event_loop *loop = look->reports->loop;
	char since[TIMESTAMP_SIZE];
	/* Who does not lead lets the time pass, but for a while that it may have to make up for. */
	if (!look->reports->leader) {
		look->looked_at = loop->wall - RUNNING_LOOKS_EVERY_MAX;
		event_loop_set_timer(loop, &look->timer, loop->now + RUNNING_LOOKS_EVERY_MIN);
		return;
	}
	if (look->request != NULL || !may_look(look->reports)) {
		look_later(look);
		return;
	}
	line_splitter_init(&look->splitter, LOG_READER_LINE_MAX);
	look->arena = arena_new(0);
	const struct termination *facts = look->pod->facts;
	timestamp_print(look->looked_at > OVERLAP ? look->looked_at - OVERLAP : 1, since);
	const struct request request = {
	        .kube = {.path = request_path(
	                         "/api/v1/namespaces/%s/pods/%s/log?container=" NAME_WATCHDOG
	                         "&sinceTime=%s&tailLines=%d",
	                         facts->namespace, facts->pod, since, TAIL_LINES),
	                 .timeout = READ_TIMEOUT},
	        .receive = receive,
	        .finish = finished,
	        .context = look,
	};
	look->sent_at = loop->wall;
	look->events = 0;
	look->request = look->arena == NULL ? NULL : event_loop_add_request(loop, &request);
	if (look->request == NULL) {
		arena_free(look->arena);
		look->arena = NULL;
		look_later(look);
	}
}

static struct running_look *make_look(struct running_reports *reports, struct cached_pod *cached)
{
	struct running_look *look = calloc(1, sizeof *look);
	if (look == NULL)
		return NULL;
	look->reports = reports;
	look->pod = cached;
	look->timer = (struct timer){.fire = look_now, .context = look};
	look->looked_at = reports->loop->wall - RUNNING_LOOKS_EVERY_MAX;
	look->next = reports->first;
	if (reports->first != NULL)
		reports->first->previous = look;
	reports->first = look;
	return look;
}

void running_reports_take(struct running_reports *reports, const struct pod *pod,
                          struct cached_pod *cached)
{
	bool any = false;
	for (size_t i = 0; i < cached->agent_count; i++)
		any = any || is_watched(&cached->agents[i]);
	if (!any || (pod->report_deadline == 0 && pod->report_silence == 0)) {
		running_reports_end(cached);
		return;
	}
	if (cached->look == NULL)
		cached->look = make_look(reports, cached);
	if (cached->look == NULL)
		return;
	cached->look->deadline = pod->report_deadline;
	cached->look->silence = pod->report_silence;
	if (cached->look->request == NULL && cached->look->timer.index == 0)
		schedule(cached->look);
}
