#include "observer/watch/pod_tracker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/buffer.h"
#include "lib/base/log.h"
#include "observer/notify/event.h"
#include "observer/record/record_builder.h"

#define LOST_MARGIN (10 * SECOND) /* after the grace period: the kubelet has had its time */

bool tracker_init(struct tracker *tracker, struct engine *engine, struct meters *meters,
                  struct deaths *deaths, struct follows *follows,
                  const struct track_options *options)
{
	*tracker = (struct tracker){.engine = engine,
	                            .meters = meters,
	                            .deaths = deaths,
	                            .follows = follows,
	                            .options = *options};
	return live_init(&tracker->live);
}

static void clear_timer(void *context, struct live_pod *pod)
{
	struct tracker *tracker = context;
	engine_clear_timer(tracker->engine, &pod->timer);
}

void tracker_free(struct tracker *tracker)
{
	live_sweep(&tracker->live, UINT64_MAX, clear_timer, tracker);
	live_free(&tracker->live);
}

/* ---- Deaths ---- */

/* Opened once; without memory it is tried again with the pod's next event. */
static void open_run(struct tracker *tracker, struct live_pod *pod, struct live_agent *agent,
                     const struct end *end, bool listed)
{
	if (end->run <= agent->handled)
		return;
	if (!death_open(tracker->deaths, pod, end, listed)) {
		log_message(LOG_ERROR, "no memory for an end", "pod", end->pod, NULL);
		return;
	}
	agent->handled = end->run;
	if (agent->running <= end->run)
		agent->running = -1;
	if (!listed && end->finished_at != 0)
		meters_lag(tracker->meters, tracker->engine->wall - end->finished_at);
}

static void open_never(struct tracker *tracker, struct live_pod *pod, struct live_agent *agent,
                       bool listed)
{
	if (agent->never == NULL)
		return;
	struct end end = live_never(pod, agent);
	/* Its run may still come: handled stays. never_due says that it was opened. */
	if (death_open(tracker->deaths, pod, &end, listed)) {
		live_set_never(pod, agent, NULL);
		agent->never_due = INT64_MAX;
	}
}

static void open_unseen(struct tracker *tracker, struct live_pod *pod, struct live_agent *agent)
{
	if (agent->running < 0)
		return;
	struct end end = live_unseen(pod, agent);
	open_run(tracker, pod, agent, &end, false);
}

/* ---- Time ---- */

static bool is_over(const struct live_pod *pod)
{
	for (size_t i = 0; i < pod->agent_count; i++)
		if (!pod->agents[i].over)
			return false;
	return pod->agent_count > 0;
}

static void linger_event(struct tracker *tracker, const struct live_pod *pod);

static void pod_timer_fires(void *context)
{
	struct live_pod *pod = context;
	struct tracker *tracker = pod->tracker;
	int64_t next = INT64_MAX;
	for (size_t i = 0; i < pod->agent_count; i++) {
		struct live_agent *agent = &pod->agents[i];
		if (agent->running >= 0 && pod->lost_at <= tracker->engine->wall)
			open_unseen(tracker, pod, agent);
		else if (agent->running >= 0 && pod->lost_at < next)
			next = pod->lost_at;
		if (agent->never == NULL)
			continue;
		if (agent->never_due <= tracker->engine->wall)
			open_never(tracker, pod, agent, false);
		else if (agent->never_due < next)
			next = agent->never_due;
	}
	if (next != INT64_MAX) {
		engine_set_timer(tracker->engine, &pod->timer,
		                 tracker->engine->now + (next - tracker->engine->wall));
		return;
	}
	if (is_over(pod) && pod->others_run && !pod->lingers) {
		pod->lingers = true;
		tracker->lingering++;
		linger_event(tracker, pod);
	}
}

static void set_timer(struct tracker *tracker, struct live_pod *pod)
{
	const struct engine *engine = tracker->engine;
	int64_t wait = INT64_MAX;
	for (size_t i = 0; i < pod->agent_count; i++) {
		const struct live_agent *agent = &pod->agents[i];
		int64_t due = agent->running >= 0 ? pod->lost_at : INT64_MAX;
		if (agent->never != NULL && agent->never_due < due)
			due = agent->never_due;
		if (due == INT64_MAX)
			continue;
		int64_t left = due > engine->wall ? due - engine->wall : 0;
		wait = left < wait ? left : wait;
	}
	bool lingers = wait == INT64_MAX && is_over(pod) && pod->others_run;
	if (lingers && (pod->lingers || pod->timer.index != 0))
		return; /* it counts from the first time */
	if (lingers)
		wait = tracker->options.linger;
	if (wait == INT64_MAX)
		engine_clear_timer(tracker->engine, &pod->timer);
	else
		engine_set_timer(tracker->engine, &pod->timer, engine->now + wait);
}

static void set_lingers(struct tracker *tracker, struct live_pod *pod, bool lingers)
{
	if (pod->lingers && !lingers) {
		pod->lingers = false;
		tracker->lingering--;
	}
}

static void ignore(void *context, struct kube_response *response, const struct error *error)
{
	(void)context;
	(void)response;
	(void)error;
}

/* Told by the leader alone, at most once for each time that it led: nothing is lost with it. */
static void linger_event(struct tracker *tracker, const struct live_pod *pod)
{
	char name[EVENT_NAME_SIZE];
	struct buffer body;
	const struct end *facts = pod->facts;
	const struct event_text text = {
	        .reason = "AgentPodLingers",
	        .message = "all agents of the pod have ended, another container keeps it running",
	};
	if (!tracker->deaths->publisher->leader)
		return;
	snprintf(name, sizeof name, "lastword.%.64s.lingers", facts->uid);
	buffer_init(&body, (size_t)16 * 1024);
	event_write(facts, EVENT_POD, name, &text, tracker->engine->wall, &body);
	size_t length = body.length;
	const struct request request = {
	        .ask = {.method = "POST",
	                .path = engine_text("/api/v1/namespaces/%s/events", facts->namespace),
	                .body = buffer_steal(&body),
	                .body_length = length},
	        .finish = ignore,
	};
	engine_request(tracker->engine, &request);
}

/* ---- A pod's event ---- */

static struct live_pod *find_or_add(struct tracker *tracker, const struct pod *pod)
{
	struct end facts;
	struct live_pod *live = live_find(&tracker->live, pod->uid);
	if (live != NULL || pod->agent_count == 0)
		return live;
	end_unseen(tracker->arena, pod, &pod->agents[0], &facts);
	if (!verdict_redact(tracker->arena, &facts))
		return NULL;
	live = live_add(&tracker->live, &facts, pod->agent_count);
	if (live == NULL)
		return NULL;
	live->tracker = tracker;
	live->timer = (struct timer){.fire = pod_timer_fires, .context = live};
	for (size_t i = 0; i < pod->agent_count; i++)
		snprintf(live->agents[i].name, sizeof live->agents[i].name, "%s",
		         pod->agents[i].name);
	return live;
}

/* The table remembers a pod as it was first seen; the node comes later, and why it ends. */
static void refresh(struct tracker *tracker, const struct pod *pod, struct live_pod *live)
{
	struct end facts;
	const struct end *old_facts = live->facts;
	bool same_node = (pod->node == NULL) == (old_facts->node == NULL);
	bool same_reason = (pod->reason == NULL) == (old_facts->pod_reason == NULL);
	bool same_disruption = (pod->disruption == NULL) == (old_facts->disruption == NULL);
	bool same_deletion = (pod->deleted_at != 0) == old_facts->told_to_terminate;
	if (pod->agent_count == 0 || (same_node && same_reason && same_disruption && same_deletion))
		return;
	end_unseen(tracker->arena, pod, &pod->agents[0], &facts);
	if (verdict_redact(tracker->arena, &facts))
		live_set_facts(live, &facts);
}

static void take_never(struct tracker *tracker, const struct pod *pod, struct live_pod *live,
                       const struct pod_agent *agent, struct live_agent *known)
{
	struct end end;
	int64_t due;
	/* It ran, whatever a status that was reset says now; or that was told. */
	bool was_told = known->never_due == INT64_MAX || known->handled >= 0;
	live_set_never(live, known, NULL);
	if (was_told ||
	    !end_never_started(tracker->arena, pod, agent, &tracker->options.patience, &end,
	                       &due) ||
	    !verdict_redact(tracker->arena, &end))
		return;
	live_set_never(live, known, &end);
	known->never_due = due;
	if (due <= tracker->engine->wall)
		open_never(tracker, live, known, tracker->fresh);
}

/* When it counts as lost with its node, since 1970; INT64_MAX: it does not. The taint manager also
 * deletes from nodes that are well: their kubelets have the grace period to say how it ended. */
static int64_t lost_at(const struct pod *pod)
{
	bool told =
	        reason_is(pod->reason, "NodeLost") || reason_is(pod->disruption, "DeletionByPodGC");
	if (pod->deleted_at == 0 && !pod->terminal)
		return INT64_MAX;
	if (told)
		return 0;
	if (!reason_is(pod->disruption, "DeletionByTaintManager"))
		return INT64_MAX;
	return pod->deleted_at == 0 ? 0 : pod->deleted_at + pod->grace + LOST_MARGIN;
}

static void take_agent(struct tracker *tracker, const struct pod *pod, struct live_pod *live,
                       const struct pod_agent *agent)
{
	struct end ends[2];
	struct live_agent *known = live_agent(live, agent->name);
	if (known == NULL)
		return;
	known->watched = pod->watchdog && agent->watched;
	size_t count = end_read(tracker->arena, pod, agent, ends);
	for (size_t i = 0; i < count; i++)
		open_run(tracker, live, known, &ends[i], tracker->fresh);
	known->over = count > 0 && !ends[count - 1].previous && ends[count - 1].final;

	int64_t run;
	if (end_is_running(agent, &run) && run > known->handled) {
		struct end end;
		end_unseen(tracker->arena, pod, agent, &end);
		known->running = run;
		known->started_at = end.started_at;
	}
	/* Over, or on a lost node, and what ran has no end: nobody will tell it. */
	bool reset = pod->terminal && !end_is_running(agent, &run);
	if (reset || live->lost_at <= tracker->engine->wall)
		open_unseen(tracker, live, known);
	take_never(tracker, pod, live, agent, known);
}

static void follow_if_deleted(struct tracker *tracker, const struct pod *pod, struct live_pod *live)
{
	bool runs = false;
	for (size_t i = 0; i < live->agent_count; i++)
		runs = runs || (live->agents[i].running >= 0 && live->agents[i].watched);
	if (pod->deleted_at == 0 || !runs || live->followed)
		return;
	int64_t left = pod->deleted_at + pod->grace - tracker->engine->wall;
	follow_start(tracker->follows, live, tracker->engine->now + (left > 0 ? left : 0));
}

/* It does not exist any more: what is still open ends with what is known. */
static void gone(void *context, struct live_pod *live)
{
	struct tracker *tracker = context;
	live->gone = true;
	engine_clear_timer(tracker->engine, &live->timer);
	set_lingers(tracker, live, false);
	for (size_t i = 0; i < live->agent_count; i++) {
		struct live_agent *agent = &live->agents[i];
		open_unseen(tracker, live, agent);
		/* Somebody gave up a pod that could not start; one that just waited is no death. */
		if (agent->never != NULL && agent->never->failing)
			open_never(tracker, live, agent, false);
	}
}

void tracker_begin(struct tracker *tracker)
{
	tracker->list++;
	tracker->listing = true;
}

void tracker_take(struct tracker *tracker, enum watch_event event, struct arena *arena,
                  const json *object)
{
	struct pod pod;
	tracker->arena = arena;
	if (!pod_read(arena, object, &pod, NULL))
		return;
	tracker->fresh = tracker->listing && live_find(&tracker->live, pod.uid) == NULL;
	struct live_pod *live = find_or_add(tracker, &pod);
	if (live == NULL)
		return;
	live->list = tracker->list;
	refresh(tracker, &pod, live);
	live->others_run = pod_other_runs(&pod, "");
	live->lost_at = lost_at(&pod);
	for (size_t i = 0; i < pod.agent_count; i++)
		take_agent(tracker, &pod, live, &pod.agents[i]);
	if (event == WATCH_DELETED) {
		live_use(live);
		live_remove(&tracker->live, live);
		gone(tracker, live);
		deaths_followed(tracker->deaths, live);
		live_release(live);
		return;
	}
	follow_if_deleted(tracker, &pod, live);
	set_timer(tracker, live);
	if (!is_over(live) || !live->others_run)
		set_lingers(tracker, live, false);
}

void tracker_complete(struct tracker *tracker)
{
	tracker->listing = false;
	live_sweep(&tracker->live, tracker->list, gone, tracker);
}
