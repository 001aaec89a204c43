#include "observer/pod/silence.h"

#include <string.h>

#include "lib/base/clock.h"

/* A failure of the agent's own that is its last run. */
static bool may_begin(const struct pod *pod, const struct pod_agent *agent,
                      const struct termination *termination)
{
	return termination->kind == TERMINATION_REPORTED && termination->finished_at != 0 &&
	       !termination->deletion_requested && termination->pod_reason == NULL &&
	       termination->disruption == NULL && !termination_is_success(termination) &&
	       termination_has_exit_code(termination) && termination->exit_code != 0 &&
	       pod_run_is_final(pod, agent, termination->exit_code);
}

/* The latest end of another container; 0: unknown. */
static int64_t last_end(const struct pod *pod, const struct pod_agent *agent)
{
	int64_t last = 0;
	for (const json *n = pod_first_other(pod, agent->name); n != NULL;
	     n = pod_next_other(n, agent->name)) {
		struct container_run runs[2];
		size_t count = container_runs(n, runs);
		if (count > 0 && runs[count - 1].ended_at > last)
			last = runs[count - 1].ended_at;
	}
	return last == INT64_MAX ? 0 : last;
}

/* The agent's run after that termination, which is in lastState; 0: none has started. */
static int64_t next_start(const struct pod_agent *agent)
{
	struct container_run runs[2];
	size_t count = container_runs(agent->status, runs);
	return count == 2 ? runs[1].started_at : 0;
}

static void read_end(const struct pod *pod, const struct pod_agent *agent,
                     const struct termination *termination, bool gone, int64_t now,
                     struct silence *silence)
{
	if (termination->previous) {
		silence->end = SILENCE_AGENT_RESTARTED;
		silence->ended_at = next_start(agent);
	} else if (pod->terminal || gone) {
		silence->end = pod->terminal ? SILENCE_POD_ENDED : SILENCE_POD_GONE;
		silence->ended_at = last_end(pod, agent);
	} else {
		return;
	}
	if (silence->ended_at == 0)
		silence->ended_at = now;
}

/* When the pod was silent for the first time, before `limit`; 0: at no time. */
static int64_t first_silent(const struct pod *pod, const struct pod_agent *agent, int64_t due,
                            int64_t limit)
{
	int64_t first = INT64_MAX;
	for (const json *n = pod_first_other(pod, agent->name); n != NULL;
	     n = pod_next_other(n, agent->name)) {
		struct container_run runs[2];
		size_t count = container_runs(n, runs);
		for (size_t i = 0; i < count; i++) {
			int64_t at = runs[i].started_at > due ? runs[i].started_at : due;
			if (at <= runs[i].ended_at)
				first = clock_earlier(first, at);
		}
	}
	return first < limit ? first : 0;
}

bool silence_read(const struct pod *pod, const struct pod_agent *agent,
                  const struct termination *termination, bool gone, int64_t silent_after,
                  int64_t now, struct silence *ret_silence)
{
	if (!may_begin(pod, agent, termination))
		return false;
	struct silence silence = {
	        .restart_count = termination->restart_count,
	        .failed_at = termination->finished_at,
	};
	read_end(pod, agent, termination, gone, now, &silence);
	int64_t limit = silence.ended_at == 0 ? INT64_MAX : silence.ended_at + 1;
	if (pod->deleted_at != 0)
		limit = clock_earlier(limit, pod->deleted_at);
	silence.confirmed_at =
	        first_silent(pod, agent, clock_after(silence.failed_at, silent_after), limit);
	*ret_silence = silence;
	return true;
}

bool silence_read_end(const struct pod *pod, const char *container, int64_t now,
                      struct silence *silence)
{
	struct pod_agent agent = {.name = container};
	for (size_t i = 0; i < pod->agent_count; i++)
		if (strcmp(pod->agents[i].name, container) == 0)
			agent = pod->agents[i];
	int64_t last_run = 0;
	if (json_integer(json_get(agent.status, "restartCount"), &last_run) &&
	    last_run > silence->restart_count) {
		bool next_run = last_run == silence->restart_count + 1;
		silence->end = SILENCE_AGENT_RESTARTED;
		silence->ended_at = next_run ? next_start(&agent) : 0;
	} else if (pod->terminal) {
		silence->end = SILENCE_POD_ENDED;
		silence->ended_at = last_end(pod, &agent);
	} else {
		return false;
	}
	/* An earlier end is of another container: that of the last one is not known. */
	silence->end_unknown = silence->ended_at < silence->confirmed_at;
	if (silence->end_unknown)
		silence->ended_at = now;
	return true;
}
