#include "observer/evidence/watchdog_report.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/kube/agent_exit.h"

/* The kubelet's second may have begun before the shim's end; clocks are stepped by little. */
#define TOLERANCE (2 * SECOND)
/* A container is torn down by then, even on a busy node. */
#define TEARDOWN (15 * SECOND)

static int64_t number(const json *object, const char *key)
{
	int64_t value;
	return json_integer(json_get(object, key), &value) && value >= 0 ? value
	                                                                 : AGENT_EXIT_UNKNOWN;
}

static int64_t seconds(const json *object, const char *key)
{
	double value;
	if (!json_double(json_get(object, key), &value) || !(value >= 0 && value < 4e9))
		return AGENT_EXIT_UNKNOWN;
	return (int64_t)(value * 1e6 + 0.5) * 1000;
}

static int64_t time_of(const json *object, const char *key)
{
	int64_t value = pod_time(object, key);
	return value == 0 ? AGENT_EXIT_UNKNOWN : value;
}

/* Every member that is none of the report's own is context. */
static void read_context(const json *object, struct line *line)
{
	for (const json *n = json_first(object); n != NULL; n = json_next(n)) {
		if (line->context_count == POD_CONTEXT_MAX)
			return;
		if (json_string(n) != NULL && !agent_exit_key_reserved(json_key(n)))
			line->context[line->context_count++] =
			        (struct pod_context){json_key(n), json_string(n)};
	}
}

bool line_read(struct arena *arena, const char *text, size_t length, const char *uid,
               struct line *ret_line)
{
	json *object;
	if (length == 0 || text[0] != '{' ||
	    json_parse(arena, text, length, 0, &object, NULL) != JSON_FAITHFUL)
		return false;
	const char *line_uid = json_get_string(object, "uid");
	const char *container = json_get_string(object, "container");
	if (!json_string_is(json_get(object, "event"), "end") || container == NULL ||
	    (line_uid != NULL && strcmp(line_uid, uid) != 0))
		return false;
	*ret_line = (struct line){
	        .container = container,
	        .error_type = json_get_string(object, "error_type"),
	        .evidence = json_get_string(object, "evidence"),
	        .signal = json_get_string(object, "signal"),
	        .summary = json_get_string(object, "summary"),
	        .payload_snippet = json_get_string(object, "payload_snippet"),
	        .fingerprint = json_get_string(object, "fingerprint"),
	        .log_tail = json_get_string(object, "log_tail"),
	        .exit_code = number(object, "exit_code"),
	        .started_at = time_of(object, "started_at"),
	        .finished_at = time_of(object, "finished_at"),
	        .duration = seconds(object, "duration_seconds"),
	        .max_rss_bytes = number(object, "max_rss_bytes"),
	        .cpu = seconds(object, "cpu_seconds"),
	        .oom_kills = number(object, "oom_kills"),
	        .silences = number(object, "silences"),
	        .deadline_exceeded_at = time_of(object, "deadline_exceeded_at"),
	        .shim_instance = number(object, "shim_instance"),
	        .shim_uid = number(object, "shim_uid"),
	        .reports_lost = number(object, "reports_lost"),
	        .log_bytes_total = number(object, "log_bytes_total"),
	};
	read_context(object, ret_line);
	return true;
}

static int64_t distance(int64_t a, int64_t b)
{
	return a < b ? b - a : a - b;
}

/* The line's run lies within the container's. Unknown times fit everything. */
static bool overlaps(const struct line *line, const struct end *end)
{
	if (end->finished_at != 0 && line->finished_at != AGENT_EXIT_UNKNOWN &&
	    (line->finished_at > end->finished_at + TOLERANCE ||
	     line->finished_at < end->finished_at - TEARDOWN))
		return false;
	if (end->started_at != 0 && line->finished_at != AGENT_EXIT_UNKNOWN &&
	    line->finished_at < end->started_at - TOLERANCE)
		return false;
	return end->started_at == 0 || line->started_at == AGENT_EXIT_UNKNOWN ||
	       line->started_at >= end->started_at - TOLERANCE;
}

/* A shim that was killed from outside says no code; the kubelet then says 128 + the signal. */
static bool same_code(const struct line *line, const struct end *end)
{
	return line->exit_code == AGENT_EXIT_UNKNOWN ? end->exit_code > 128
	                                             : line->exit_code == end->exit_code;
}

int64_t line_distance(const struct line *line, const struct end *end)
{
	if (end->kind == END_NEVER_STARTED || strcmp(line->container, end->container) != 0 ||
	    !overlaps(line, end))
		return -1;
	if (end_has_code(end) && !same_code(line, end))
		return -1;
	int64_t apart = 0;
	if (end->finished_at != 0 && line->finished_at != AGENT_EXIT_UNKNOWN)
		apart += distance(line->finished_at, end->finished_at);
	if (end->started_at != 0 && line->started_at != AGENT_EXIT_UNKNOWN)
		apart += distance(line->started_at, end->started_at);
	return apart;
}
