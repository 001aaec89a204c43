/*
 * watchdog_report: the watchdog's reports (watchdog/report.h), read from its log and matched with
 * terminations. Pure.
 *
 * A report repeats what shims sent over a socket that every container of the pod can reach, so it
 * is read as untrusted input. A report is about a termination when its event is `end`, container
 * and (where it names one) pod are the same, its exit code is the kubelet's, and the times are
 * close together. A shim's instance number is no restart count and is not compared.
 *
 * Times: both sides use the node's clock. The kubelet's are truncated to whole seconds; the shim
 * reports the end up to some hundred milliseconds before the container's own.
 */
#ifndef LASTWORD_OBSERVER_POD_WATCHDOG_REPORT_H
#define LASTWORD_OBSERVER_POD_WATCHDOG_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/document/json.h"
#include "observer/pod/termination.h"

/* Texts belong to the arena and may be NULL; numbers may be AGENT_EXIT_UNKNOWN. */
struct watchdog_report {
	const char *container; /* never NULL */
	const char *error_type;
	const char *detail;
	const char *evidence;
	const char *signal;
	const char *summary;
	const char *payload_snippet;
	const char *fingerprint;
	const char *log_tail;
	int64_t exit_code; /* not known: the shim was killed */
	int64_t started_at;
	int64_t finished_at;
	int64_t duration;
	int64_t max_rss_bytes;
	int64_t cpu;
	int64_t oom_kills;
	int64_t silences;
	int64_t deadline_exceeded_at;
	int64_t shim_instance;
	int64_t shim_uid;
	int64_t reports_lost;
	int64_t log_bytes_total;
	struct pod_context context[POD_CONTEXT_MAX];
	size_t context_count;
};

/* Reads a line that is an `end` report of the pod with that uid; false for everything else. */
bool watchdog_report_read(struct arena *arena, const char *text, size_t length, const char *uid,
                          struct watchdog_report *ret_line);

enum running_event { RUNNING_DEADLINE, RUNNING_SILENT, RUNNING_EVENT_COUNT };
/* "deadline", "silent-agent", as the watchdog names them. Static. */
const char *running_event_name(enum running_event event);

/* A report about an agent that runs on. Texts belong to the arena. */
struct running_report {
	enum running_event event;
	const char *container;       /* never NULL */
	const char *payload_snippet; /* NULL: none */
	int64_t time;                /* nanoseconds since 1970 */
	int64_t duration;            /* of the run, or of the silence; AGENT_EXIT_UNKNOWN */
};

/* As watchdog_report_read(), for those. */
bool running_report_read(struct arena *arena, const char *text, size_t length, const char *uid,
                         struct running_report *ret_report);

/* How far apart the times of both are, in nanoseconds; -1: the report is not about this
 * termination. */
int64_t watchdog_report_distance(const struct watchdog_report *report,
                                 const struct termination *termination);

#endif
