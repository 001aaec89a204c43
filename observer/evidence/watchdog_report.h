/*
 * line: the watchdog's lines (watchdog/report.h), read and matched with the kubelet's ends. Pure.
 *
 * Lines come from a log that shows what shims said over a socket that the whole pod can reach: they
 * are read as untrusted input. A line is about an end when it is an `end` of the same container
 * (and pod, where it names one), its exit code is the kubelet's, and both ends lie close together.
 * A shim's instance number is no restart count: it is not compared.
 *
 * Times: both are of the node's clock. The kubelet's are cut to whole seconds; a shim's end comes
 * up to some hundred milliseconds before its container's.
 */
#ifndef LASTWORD_OBSERVER_EVIDENCE_WATCHDOG_REPORT_H
#define LASTWORD_OBSERVER_EVIDENCE_WATCHDOG_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/document/json.h"
#include "observer/pod/termination.h"

/* Texts belong to the arena and may be NULL; numbers are AGENT_EXIT_UNKNOWN where not known. */
struct line {
	const char *container; /* never NULL */
	const char *error_type;
	const char *evidence;
	const char *signal;
	const char *summary;
	const char *payload_snippet;
	const char *fingerprint;
	const char *log_tail;
	int64_t exit_code; /* unknown: the shim was killed */
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

/* An `end` line of the pod with that uid; false for everything else. */
bool line_read(struct arena *arena, const char *text, size_t length, const char *uid,
               struct line *ret_line);

/* How far apart line and end are, in nanoseconds; -1: the line is not about this end. */
int64_t line_distance(const struct line *line, const struct end *end);

#endif
