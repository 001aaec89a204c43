/*
 * report: the JSON line that the watchdog prints for an event. Pure, but for static memory.
 *
 * One line, at most REPORT_LINE_MAX bytes with its line end (containerd and CRI-O cut at 16 KiB).
 * What does not fit is left out: the beginning of log_tail, and context fields beyond 6 KiB in
 * total. All text of the agent is redacted first; characters that are unsafe in text for people
 * (lib/base/utf8.h: NUL, C1 controls, bidirectional controls, …) become U+FFFD.
 *
 * Fields (docs/security.md says who vouches for each; one that is absent is unknown, or does not
 * belong to the event):
 *   event             end, flush, silent-agent, deadline
 *   time              of the report; RFC 3339, UTC
 *   version           of this program
 *   source            "watchdog"
 *   pod, namespace, uid, node, owner   from the flags and the downward API
 *   container         whose agent it is
 *   shim_instance     how many shims of that container this watchdog has seen; no restart count
 *   error_type        the cause, lib/diagnosis/classify.h; Unknown unless the event is end
 *   detail            a word of lib/diagnosis/rules/causes.rules that says more than the cause
 *   evidence          which row of the table decided
 *   exit_code, signal  what the shim exited with, and the signal's name that ended the command
 *   summary           one line
 *   payload_snippet   the key lines of the output, <= 512 bytes
 *   fingerprint       of similar failures
 *   started_at, finished_at, duration_seconds   the last on the monotonic clock
 *   silence_seconds   of silent-agent
 *   max_rss_bytes, cpu_seconds, oom_kills  of the command and its children, of the cgroup
 *   silences          of end: how often the shim reported silence; absent: never
 *   deadline_exceeded_at  of end: when the shim reported the deadline; absent: it did not
 *   shim_uid          the user that the shim ran as
 *   reports_lost      reports about this container that were not printed so far: there were
 *                     too many, or stdout was not read
 *   context           every --context KEY=VALUE, as members KEY of the line itself
 *   log_bytes_total   bytes of output since the start
 *   log_tail          the end of it
 */
#ifndef LASTWORD_WATCHDOG_REPORT_H
#define LASTWORD_WATCHDOG_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/diagnosis/classify.h"
#include "lib/diagnosis/redact.h"

struct buffer;

#define REPORT_LINE_MAX    ((size_t)16000)
#define REPORT_CONTEXT_MAX 32
#define REPORT_KEY_MAX     ((size_t)63)  /* bytes; a context field with a longer key is left out */
#define REPORT_TEXT_MAX    ((size_t)320) /* bytes of each text of struct report_pod */
#define REPORT_TAIL_MAX    ((size_t)8 * 1024)

/* What all reports of this watchdog have in common. Texts live as long as argv and the environment.
 */
struct report_pod {
	const char *name; /* each may be NULL */
	const char *namespace;
	const char *uid;
	const char *node;
	const char *owner;
	const char *context[REPORT_CONTEXT_MAX]; /* KEY=VALUE, redacted */
	size_t context_count;
	struct redact_patterns patterns;
	struct own_rules rules;
	size_t tail_size; /* bytes of output in a report */
};

enum report_event { EVENT_END, EVENT_FLUSH, EVENT_SILENT_AGENT, EVENT_DEADLINE };

struct report {
	enum report_event event;
	const char *container;
	uint64_t shim_instance;
	struct observation observation; /* its snippet is set here */
	int64_t time;                   /* nanoseconds since 1970, as the next two; 0: unknown */
	int64_t started_at;
	int64_t finished_at;
	int64_t duration; /* nanoseconds; -1: unknown, as the next four */
	int64_t silence;
	int64_t max_rss;
	int64_t cpu;
	int64_t oom_kills;
	int64_t shim_uid;
	uint64_t silences;            /* 0: none */
	int64_t deadline_exceeded_at; /* nanoseconds since 1970; 0: it was not */
	uint64_t reports_lost;
	/* The newest output; redacted in place. */
	char *output;
	size_t output_length;
	bool output_cut; /* the beginning of the output is missing */
	uint64_t total;
};

/* Appends the line to out, which has room for REPORT_LINE_MAX bytes and its NUL. Not reentrant. */
void report_write(const struct report_pod *pod, struct report *report, struct buffer *out);

#endif
