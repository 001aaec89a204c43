#include "observer/watch/silence_tracker.h"

#include <stdlib.h>

static void add_to_gauge(struct silence_tracker *tracker, const struct cached_pod *pod, int by)
{
	observer_metrics_add_silent_pods(tracker->metrics, pod->facts->namespace, pod->facts->agent,
	                                 by);
}

/* The pod counts in the gauge while one of its agents is silent. */
static void set_silent(struct silence_tracker *tracker, struct cached_pod *pod,
                       struct cached_agent *agent, bool silent)
{
	if (agent->silence->silent == silent)
		return;
	agent->silence->silent = silent;
	unsigned before = pod->silent_agents;
	pod->silent_agents = (uint16_t)(silent ? before + 1 : before - 1);
	if (before == 0 || pod->silent_agents == 0)
		add_to_gauge(tracker, pod, silent ? 1 : -1);
}

/* Without memory the record stays as it is until the pod is listed by another observer. */
static void record(struct silence_tracker *tracker, const struct cached_pod *pod,
                   const struct cached_agent *agent, const struct silence *silence)
{
	struct termination termination = *pod->facts;
	termination.kind = TERMINATION_REPORTED;
	termination.container = agent->name;
	termination.restart_count = silence->restart_count;
	silence_recorder_set(tracker->recorder, &termination, silence);
}

static void confirm(struct silence_tracker *tracker, struct cached_pod *pod,
                    struct cached_agent *agent)
{
	const struct cached_silence *cached = agent->silence;
	const struct silence silence = {
	        .restart_count = cached->restart_count,
	        .failed_at = cached->failed_at,
	        .confirmed_at = cached->confirmed_at,
	};
	set_silent(tracker, pod, agent, true);
	record(tracker, pod, agent, &silence);
}

static void finish(struct silence_tracker *tracker, struct cached_pod *pod,
                   struct cached_agent *agent, const struct silence *silence)
{
	set_silent(tracker, pod, agent, false);
	agent->silence->over = true;
	record(tracker, pod, agent, silence);
}

/* Its end is noticed, but not when it was. */
static void finish_unknown(struct silence_tracker *tracker, struct cached_pod *pod,
                           struct cached_agent *agent, enum silence_end end)
{
	struct cached_silence *cached = agent->silence;
	if (cached == NULL || !cached->silent)
		return;
	const struct silence silence = {
	        .restart_count = cached->restart_count,
	        .failed_at = cached->failed_at,
	        .confirmed_at = cached->confirmed_at,
	        .end = end,
	        .ended_at = tracker->loop->wall,
	        .end_unknown = true,
	};
	finish(tracker, pod, agent, &silence);
}

static bool remember(struct cached_agent *agent, const struct silence *silence)
{
	if (agent->silence == NULL)
		agent->silence = calloc(1, sizeof *agent->silence);
	if (agent->silence == NULL)
		return false;
	agent->silence->restart_count = silence->restart_count;
	agent->silence->failed_at = silence->failed_at;
	agent->silence->confirmed_at = silence->confirmed_at;
	return true;
}

static void forget(struct cached_agent *agent)
{
	free(agent->silence);
	agent->silence = NULL;
}

static void take_silence(struct silence_tracker *tracker, struct cached_pod *pod,
                         struct cached_agent *agent, const struct silence *silence)
{
	const struct cached_silence *cached = agent->silence;
	if (cached != NULL && cached->restart_count != silence->restart_count) {
		if (cached->restart_count > silence->restart_count)
			return;
		finish_unknown(tracker, pod, agent, SILENCE_AGENT_RESTARTED);
		forget(agent);
		cached = NULL;
	}
	if (cached != NULL && cached->over)
		return;
	bool was_silent = cached != NULL && cached->silent;
	if (silence->confirmed_at == 0 && !was_silent) {
		forget(agent);
		return;
	}
	if (silence->end != SILENCE_LASTS) {
		if (remember(agent, silence))
			finish(tracker, pod, agent, silence);
	} else if (!was_silent && remember(agent, silence)) {
		silence_tracker_fire(tracker, pod, agent);
	}
}

void silence_tracker_take(struct silence_tracker *tracker, const struct pod *pod,
                          const struct pod_agent *agent, struct cached_pod *cached_pod,
                          struct cached_agent *cached_agent, const struct termination *terminations,
                          size_t count, bool gone)
{
	bool found = false;
	for (size_t i = 0; i < count; i++) {
		struct silence silence;
		if (!silence_read(pod, agent, &terminations[i], gone, tracker->silent_after,
		                  tracker->loop->wall, &silence))
			continue;
		take_silence(tracker, cached_pod, cached_agent, &silence);
		found = found || (cached_agent->silence != NULL &&
		                  cached_agent->silence->restart_count == silence.restart_count);
	}
	if (found || cached_agent->silence == NULL || cached_agent->silence->over)
		return;
	/* What was noticed does not follow from the status any more: other runs came after it, or
	 * the pod has ended because of something else. */
	if (cached_agent->silence->silent)
		finish_unknown(tracker, cached_pod, cached_agent,
		               pod->terminal ? SILENCE_POD_ENDED
		               : gone        ? SILENCE_POD_GONE
		                             : SILENCE_AGENT_RESTARTED);
	else
		forget(cached_agent);
}

bool silence_tracker_follows(struct cached_pod *pod, const char *container, int64_t restart_count)
{
	const struct cached_agent *agent = cached_pod_find_agent(pod, container);
	const struct cached_silence *cached = agent == NULL ? NULL : agent->silence;
	return cached != NULL && cached->restart_count == restart_count &&
	       (cached->silent || cached->over);
}

int64_t silence_tracker_due(const struct cached_agent *agent)
{
	const struct cached_silence *cached = agent->silence;
	return cached == NULL || cached->silent || cached->over
	               ? INT64_MAX
	               : cached->confirmed_at + SILENCE_MARGIN;
}

void silence_tracker_fire(struct silence_tracker *tracker, struct cached_pod *pod,
                          struct cached_agent *agent)
{
	if (silence_tracker_due(agent) <= tracker->loop->wall)
		confirm(tracker, pod, agent);
}

void silence_tracker_set_facts(struct silence_tracker *tracker, struct cached_pod *pod,
                               const struct termination *facts)
{
	if (pod->silent_agents > 0)
		add_to_gauge(tracker, pod, -1);
	cached_pod_set_facts(pod, facts);
	if (pod->silent_agents > 0)
		add_to_gauge(tracker, pod, 1);
}

void silence_tracker_gone(struct silence_tracker *tracker, struct cached_pod *pod)
{
	for (size_t i = 0; i < pod->agent_count; i++)
		finish_unknown(tracker, pod, &pod->agents[i], SILENCE_POD_GONE);
}
