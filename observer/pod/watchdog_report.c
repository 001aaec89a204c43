#include "observer/pod/watchdog_report.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/kube/agent_exit.h"

/* The kubelet truncates to whole seconds, and a clock that is adjusted may step a little. */
#define TOLERANCE (2 * SECOND)
/* By then the runtime has reported the end of the container, even on a busy node. */
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

/* Every member that is not one of the report's own is context. */
static void read_context(const json *object, struct watchdog_report *report)
{
	for (const json *n = json_first(object); n != NULL; n = json_next(n)) {
		if (report->context_count == POD_CONTEXT_MAX)
			return;
		if (json_string(n) != NULL && !agent_exit_key_reserved(json_key(n)))
			report->context[report->context_count++] =
			        (struct pod_context){json_key(n), json_string(n)};
	}
}

/* In a text that is JSON every escape of a NUL becomes one of U+FFFD, so that no string is cut. */
static void replace_nuls(char *text, size_t length)
{
	static const char nul[] = "\\u0000";
	const size_t size = sizeof nul - 1;
	for (size_t at = 0; at + size <= length; at++) {
		if (text[at] != '\\')
			continue;
		if (memcmp(text + at, nul, size) == 0)
			memcpy(text + at, "\\ufffd", size);
		at++; /* what is escaped begins no escape */
	}
}

/* A line that is a report of the pod with that uid, about a container. */
static bool read_line(struct arena *arena, const char *text, size_t length, const char *uid,
                      json **ret_object)
{
	char *copy;
	if (length == 0 || text[0] != '{' || (copy = arena_copy(arena, text, length)) == NULL)
		return false;
	/* The watchdog writes none (any more); a NUL of the agent's is no reason to lose a report.
	 */
	replace_nuls(copy, length);
	if (json_parse(arena, copy, length, 0, ret_object, NULL) != JSON_FAITHFUL)
		return false;
	const char *report_uid = json_get_string(*ret_object, "uid");
	return json_get_string(*ret_object, "container") != NULL &&
	       (report_uid == NULL || strcmp(report_uid, uid) == 0);
}

const char *running_event_name(enum running_event event)
{
	return event == RUNNING_DEADLINE ? "deadline" : "silent-agent";
}

bool running_report_read(struct arena *arena, const char *text, size_t length, const char *uid,
                         struct running_report *ret_report)
{
	json *object;
	if (!read_line(arena, text, length, uid, &object))
		return false;
	bool silent = json_string_is(json_get(object, "event"), "silent-agent");
	int64_t time = pod_time(object, "time");
	if ((!silent && !json_string_is(json_get(object, "event"), "deadline")) || time == 0)
		return false;
	*ret_report = (struct running_report){
	        .event = silent ? RUNNING_SILENT : RUNNING_DEADLINE,
	        .container = json_get_string(object, "container"),
	        .payload_snippet = json_get_string(object, "payload_snippet"),
	        .time = time,
	        .duration = silent ? seconds(object, "silence_seconds")
	                           : seconds(object, "duration_seconds"),
	};
	return true;
}

bool watchdog_report_read(struct arena *arena, const char *text, size_t length, const char *uid,
                          struct watchdog_report *ret_line)
{
	json *object;
	if (!read_line(arena, text, length, uid, &object) ||
	    !json_string_is(json_get(object, "event"), "end"))
		return false;
	*ret_line = (struct watchdog_report){
	        .container = json_get_string(object, "container"),
	        .error_type = json_get_string(object, "error_type"),
	        .detail = json_get_string(object, "detail"),
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

/* The shim's run lies within the container's. A time that is not known fits everything. */
static bool overlaps(const struct watchdog_report *report, const struct termination *termination)
{
	if (termination->finished_at != 0 && report->finished_at != AGENT_EXIT_UNKNOWN &&
	    (report->finished_at > termination->finished_at + TOLERANCE ||
	     report->finished_at < termination->finished_at - TEARDOWN))
		return false;
	/* The clock was set back during the run: it ended before it started. */
	bool set_back =
	        termination->finished_at != 0 && termination->finished_at < termination->started_at;
	if (!set_back && termination->started_at != 0 &&
	    report->finished_at != AGENT_EXIT_UNKNOWN &&
	    report->finished_at < termination->started_at - TOLERANCE)
		return false;
	return termination->started_at == 0 || report->started_at == AGENT_EXIT_UNKNOWN ||
	       report->started_at >= termination->started_at - TOLERANCE;
}

/* For a shim that was killed from outside there is no exit code; the kubelet reports 128 + the
 * signal. */
static bool same_code(const struct watchdog_report *report, const struct termination *termination)
{
	return report->exit_code == AGENT_EXIT_UNKNOWN
	               ? termination->exit_code > 128
	               : report->exit_code == termination->exit_code;
}

int64_t watchdog_report_distance(const struct watchdog_report *report,
                                 const struct termination *termination)
{
	if (termination->kind == TERMINATION_NEVER_STARTED ||
	    strcmp(report->container, termination->container) != 0 ||
	    !overlaps(report, termination))
		return -1;
	if (termination_has_exit_code(termination) && !same_code(report, termination))
		return -1;
	int64_t apart = 0;
	if (termination->finished_at != 0 && report->finished_at != AGENT_EXIT_UNKNOWN)
		apart += clock_distance(report->finished_at, termination->finished_at);
	if (termination->started_at != 0 && report->started_at != AGENT_EXIT_UNKNOWN)
		apart += clock_distance(report->started_at, termination->started_at);
	return apart;
}
