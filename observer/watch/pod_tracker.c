#include "observer/watch/pod_tracker.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/log.h"
#include "observer/record/record_builder.h"

#define LOST_MARGIN (10 * SECOND) /* after the grace period, for the kubelet to report */

bool pod_tracker_init(struct pod_tracker *tracker, struct event_loop *loop,
                      struct observer_metrics *metrics, const struct pod_tracker_links *links,
                      const struct pod_tracker_options *options)
{
	*tracker = (struct pod_tracker){.loop = loop,
	                                .metrics = metrics,
	                                .gatherer = links->gatherer,
	                                .followers = links->followers,
	                                .running_reports = links->running_reports,
	                                .policy = links->policy,
	                                .namespaces = links->namespaces,
	                                .resolver = links->resolver,
	                                .breaker = links->breaker,
	                                .silence = {.loop = loop,
	                                            .metrics = metrics,
	                                            .recorder = links->recorder,
	                                            .silent_after = options->silent_after},
	                                .options = *options};
	uninjected_pods_init(&tracker->uninjected, loop, metrics);
	return pod_cache_init(&tracker->cache);
}

static void clear_timer(void *context, struct cached_pod *pod)
{
	struct pod_tracker *tracker = context;
	event_loop_clear_timer(tracker->loop, &pod->timer);
	running_reports_end(pod);
}

void pod_tracker_free(struct pod_tracker *tracker)
{
	pod_cache_sweep(&tracker->cache, UINT32_MAX, clear_timer, tracker);
	pod_cache_free(&tracker->cache);
}

/* ---- Terminations ---- */

static void take_success(struct pod_tracker *tracker, const struct termination *termination)
{
	char identity[AGENT_EXIT_IDENTITY_SIZE];
	if (termination->started_at != 0 && termination_is_success(termination) &&
	    record_identity(tracker->arena, termination, identity))
		resolver_add_success(tracker->resolver, termination->namespace, identity,
		                     termination->started_at, termination->finished_at);
}

/* Once for each run; without memory it is tried again with the pod's next event. */
static void take_run(struct pod_tracker *tracker, struct cached_pod *pod,
                     struct cached_agent *agent, const struct termination *termination, bool listed)
{
	if (termination->restart_count <= agent->handled)
		return;
	if (!evidence_gather(tracker->gatherer, pod, termination, listed)) {
		log_message(LOG_ERROR,
		            "out of memory, a termination waits for the pod's next event", "pod",
		            termination->pod, NULL);
		return;
	}
	agent->handled = (int32_t)termination->restart_count;
	if (termination->kind == TERMINATION_REPORTED)
		take_success(tracker, termination);
	if (agent->running <= termination->restart_count)
		agent->running = -1;
	if (!listed && termination->finished_at != 0)
		observer_metrics_observe_lag(tracker->metrics,
		                             tracker->loop->wall - termination->finished_at);
}

static void take_never_started_termination(struct pod_tracker *tracker, struct cached_pod *pod,
                                           struct cached_agent *agent, bool listed)
{
	if (agent->never_started == NULL)
		return;
	struct termination termination = cached_pod_never_started(pod, agent);
	/* A run may still come, so handled stays as it is; start_deadline remembers this. */
	if (evidence_gather(tracker->gatherer, pod, &termination, listed)) {
		cached_pod_set_never_started(pod, agent, NULL);
		agent->start_deadline = INT64_MAX;
	}
}

static void take_unobserved(struct pod_tracker *tracker, struct cached_pod *pod,
                            struct cached_agent *agent)
{
	if (agent->running < 0)
		return;
	struct termination termination = cached_pod_unobserved(pod, agent);
	take_run(tracker, pod, agent, &termination, false);
}

/* ---- Time ---- */

/* When something about the agent is due, since 1970; INT64_MAX: nothing is. */
static int64_t next_due(const struct cached_pod *pod, const struct cached_agent *agent)
{
	int64_t due = agent->running >= 0 ? pod->lost_at : INT64_MAX;
	if (agent->never_started != NULL)
		due = clock_earlier(due, agent->start_deadline);
	return clock_earlier(due, silence_tracker_due(agent));
}

/* Not before `least` nanoseconds from now. */
static void set_timer(struct pod_tracker *tracker, struct cached_pod *pod, int64_t least)
{
	const struct event_loop *loop = tracker->loop;
	int64_t due = INT64_MAX;
	for (size_t i = 0; i < pod->agent_count; i++)
		due = clock_earlier(due, next_due(pod, &pod->agents[i]));
	if (due == INT64_MAX)
		event_loop_clear_timer(tracker->loop, &pod->timer);
	else
		event_loop_set_timer(tracker->loop, &pod->timer,
		                     loop->now +
		                             (due - loop->wall > least ? due - loop->wall : least));
}

static void pod_timer_fires(void *context)
{
	struct cached_pod *pod = context;
	struct pod_tracker *tracker = pod->tracker;
	for (size_t i = 0; i < pod->agent_count; i++) {
		struct cached_agent *agent = &pod->agents[i];
		if (pod->lost_at <= tracker->loop->wall)
			take_unobserved(tracker, pod, agent);
		if (agent->never_started != NULL && agent->start_deadline <= tracker->loop->wall)
			take_never_started_termination(tracker, pod, agent, false);
		silence_tracker_fire(&tracker->silence, pod, agent);
	}
	/* What could not be done now, without memory, is tried again. */
	set_timer(tracker, pod, SECOND);
}

/* ---- Pods that were not injected ---- */

static void set_uninjected(struct pod_tracker *tracker, struct cached_pod *cached,
                           enum uninjected_reason reason)
{
	uninjected_pods_count(&tracker->uninjected, cached->facts->namespace,
	                      (enum uninjected_reason)cached->uninjected, reason);
	cached->uninjected = (unsigned char)reason;
}

static void report_uninjected(struct pod_tracker *tracker, const struct pod *pod,
                              struct cached_pod *cached, enum uninjected_reason reason)
{
	set_uninjected(tracker, cached, pod->terminal ? UNINJECTED_NOT : reason);
	if (cached->uninjected != UNINJECTED_NOT && !cached->uninjected_reported &&
	    tracker->gatherer->writer->leader)
		cached->uninjected_reported =
		        uninjected_pods_send_event(&tracker->uninjected, cached->facts, reason);
}

/* It is no pod of lastword's, or not any more: its terminations are nobody's business. */
static void forget(struct pod_tracker *tracker, const struct pod *pod)
{
	struct cached_pod *cached = pod_cache_find(&tracker->cache, pod->uid);
	if (cached == NULL)
		return;
	event_loop_clear_timer(tracker->loop, &cached->timer);
	running_reports_end(cached);
	silence_tracker_gone(&tracker->silence, cached);
	set_uninjected(tracker, cached, UNINJECTED_NOT);
	pod_cache_remove(&tracker->cache, cached);
}

/* ---- Events of the watch ---- */

static struct cached_pod *find_or_add(struct pod_tracker *tracker, const struct pod *pod)
{
	struct termination facts;
	struct cached_pod *cached = pod_cache_find(&tracker->cache, pod->uid);
	if (cached != NULL || pod->agent_count == 0)
		return cached;
	termination_unobserved(tracker->arena, pod, &pod->agents[0], &facts);
	if (!record_redact(tracker->arena, &facts))
		return NULL;
	cached = pod_cache_add(&tracker->cache, &facts, pod->agent_count);
	if (cached == NULL)
		return NULL;
	cached->tracker = tracker;
	cached->timer = (struct timer){.fire = pod_timer_fires, .context = cached};
	for (size_t i = 0; i < pod->agent_count; i++)
		snprintf(cached->agents[i].name, sizeof cached->agents[i].name, "%s",
		         pod->agents[i].name);
	return cached;
}

/* The cache has the pod as it was first seen; its node and the reason of its end come later. */
static void refresh_facts(struct pod_tracker *tracker, const struct pod *pod,
                          struct cached_pod *cached)
{
	struct termination facts;
	const struct termination *old_facts = cached->facts;
	bool same_node = (pod->node == NULL) == (old_facts->node == NULL);
	bool same_reason = (pod->reason == NULL) == (old_facts->pod_reason == NULL);
	bool same_disruption = (pod->disruption == NULL) == (old_facts->disruption == NULL);
	bool same_deletion = (pod->deleted_at != 0) == old_facts->deletion_requested;
	if (pod->agent_count == 0 || (same_node && same_reason && same_disruption && same_deletion))
		return;
	termination_unobserved(tracker->arena, pod, &pod->agents[0], &facts);
	if (record_redact(tracker->arena, &facts))
		silence_tracker_set_facts(&tracker->silence, cached, &facts);
}

static void take_never_started(struct pod_tracker *tracker, const struct pod *pod,
                               struct cached_pod *cached, const struct pod_agent *agent,
                               struct cached_agent *known)
{
	struct termination termination;
	int64_t due;
	/* It has run, whatever a status that was reset says now; or that was taken up already. */
	bool was_reported = known->start_deadline == INT64_MAX || known->handled >= 0;
	cached_pod_set_never_started(cached, known, NULL);
	if (was_reported ||
	    !termination_never_started(tracker->arena, pod, agent, &tracker->options.start_timeouts,
	                               &termination, &due) ||
	    !record_redact(tracker->arena, &termination))
		return;
	cached_pod_set_never_started(cached, known, &termination);
	known->start_deadline = due;
	if (due <= tracker->loop->wall)
		take_never_started_termination(tracker, cached, known, tracker->fresh);
}

/* When the pod counts as lost with its node, since 1970; INT64_MAX: it does not. The taint manager
 * also deletes pods from nodes that work: their kubelets have the grace period to report. */
static int64_t lost_at(const struct pod *pod)
{
	bool is_lost =
	        reason_is(pod->reason, "NodeLost") || reason_is(pod->disruption, "DeletionByPodGC");
	if (pod->deleted_at == 0 && !pod->terminal)
		return INT64_MAX;
	if (is_lost)
		return 0;
	if (!reason_is(pod->disruption, "DeletionByTaintManager"))
		return INT64_MAX;
	return pod->deleted_at == 0 ? 0 : pod->deleted_at + pod->grace + LOST_MARGIN;
}

static void take_agent(struct pod_tracker *tracker, const struct pod *pod,
                       struct cached_pod *cached, const struct pod_agent *agent, bool gone)
{
	struct termination terminations[2];
	struct cached_agent *known = cached_pod_find_agent(cached, agent->name);
	if (known == NULL)
		return;
	known->watched = pod->watchdog && agent->watched;
	size_t count = termination_read(tracker->arena, pod, agent, terminations);
	for (size_t i = 0; i < count; i++)
		take_run(tracker, cached, known, &terminations[i], tracker->fresh);
	silence_tracker_take(&tracker->silence, pod, agent, cached, known, terminations, count,
	                     gone);

	int64_t restart_count;
	if (pod_agent_is_running(agent, &restart_count) && restart_count > known->handled) {
		struct termination termination;
		termination_unobserved(tracker->arena, pod, agent, &termination);
		known->running = (int32_t)restart_count;
		known->started_at = termination.started_at;
	}
	/* The pod has ended, or its node is lost, without a termination of what ran: nobody will
	 * report it. */
	bool reset = pod->terminal && !pod_agent_is_running(agent, &restart_count);
	if (reset || cached->lost_at <= tracker->loop->wall)
		take_unobserved(tracker, cached, known);
	take_never_started(tracker, pod, cached, agent, known);
}

static void follow_log_if_deleted(struct pod_tracker *tracker, const struct pod *pod,
                                  struct cached_pod *cached)
{
	if (pod->deleted_at != 0)
		log_follower_start(tracker->followers, cached,
		                   pod->deleted_at + pod->grace - tracker->loop->wall);
}

/* The pod does not exist any more: what is still running there ended, with what is known. */
static void pod_gone(void *context, struct cached_pod *cached)
{
	struct pod_tracker *tracker = context;
	cached->gone = true;
	event_loop_clear_timer(tracker->loop, &cached->timer);
	running_reports_end(cached);
	silence_tracker_gone(&tracker->silence, cached);
	set_uninjected(tracker, cached, UNINJECTED_NOT);
	for (size_t i = 0; i < cached->agent_count; i++) {
		struct cached_agent *agent = &cached->agents[i];
		take_unobserved(tracker, cached, agent);
		/* A pod that could not start was given up; one that only waited for its start is no
		 * failure. */
		if (agent->never_started != NULL && agent->never_started->failing)
			take_never_started_termination(tracker, cached, agent, false);
	}
}

void pod_tracker_begin_list(struct pod_tracker *tracker)
{
	tracker->list++;
	tracker->listing = true;
}

/* The pod is one of lastword's: injected, or it should have been, for the reason given. */
static bool is_observed(struct pod_tracker *tracker, struct pod *pod,
                        enum uninjected_reason *ret_reason)
{
	*ret_reason = UNINJECTED_NOT;
	if (tracker->policy == NULL || pod->injected)
		return true;
	*ret_reason = injection_policy_apply(
	        tracker->policy, tracker->arena, pod,
	        opted_in_namespaces_find(tracker->namespaces, pod->namespace));
	return *ret_reason != UNINJECTED_NOT;
}

void pod_tracker_take(struct pod_tracker *tracker, enum watch_event event, struct arena *arena,
                      const json *object)
{
	struct pod pod;
	enum uninjected_reason reason;
	tracker->arena = arena;
	if (!pod_read(arena, object, &pod, NULL))
		return;
	if (tracker->breaker != NULL)
		breaker_take_pod(tracker->breaker, &pod, event == WATCH_DELETED);
	if (!is_observed(tracker, &pod, &reason)) {
		forget(tracker, &pod);
		return;
	}
	tracker->fresh = tracker->listing && pod_cache_find(&tracker->cache, pod.uid) == NULL;
	struct cached_pod *cached = find_or_add(tracker, &pod);
	if (cached == NULL)
		return;
	cached->list = tracker->list;
	refresh_facts(tracker, &pod, cached);
	cached->lost_at = lost_at(&pod);
	for (size_t i = 0; i < pod.agent_count; i++)
		take_agent(tracker, &pod, cached, &pod.agents[i], event == WATCH_DELETED);
	if (event == WATCH_DELETED) {
		cached_pod_acquire(cached);
		pod_cache_remove(&tracker->cache, cached);
		pod_gone(tracker, cached);
		cached_pod_release(cached);
		return;
	}
	report_uninjected(tracker, &pod, cached, reason);
	running_reports_take(tracker->running_reports, &pod, cached);
	follow_log_if_deleted(tracker, &pod, cached);
	set_timer(tracker, cached, 0);
}

void pod_tracker_complete_list(struct pod_tracker *tracker)
{
	tracker->listing = false;
	pod_cache_sweep(&tracker->cache, tracker->list, pod_gone, tracker);
}
