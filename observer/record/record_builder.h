/*
 * verdict: the kubelet's view of an end and the evidence there is → the record. Pure.
 *
 * Who is believed:
 *  1. The shim, where it killed the agent itself (deadline, silence).
 *  2. The kubelet's reason and the pod's (OOMKilled, Evicted, DisruptionTarget, …) outweigh what
 * the watchdog or we guess from exit code and output.
 *  3. The watchdog's line: it saw the whole end of the output, the signal and the kernel's count.
 *  4. Without one the container's own log, or what the kubelet kept of it in its message.
 * Times and exit code are the kubelet's where it has them; the line's are finer, but less certain.
 * A code that the kubelet made up (end_has_code()) is none.
 *
 * What becomes a record: every failure, that is every cause but Completed; and an end with code 0
 * whose container the kubelet calls OOMKilled: a process of it was killed, the agent went on
 * (`Completed`, with reason OOMKilled). silent: a failure, final, and another regular container
 * that is not ours still running.
 */
#ifndef LASTWORD_OBSERVER_RECORD_RECORD_BUILDER_H
#define LASTWORD_OBSERVER_RECORD_RECORD_BUILDER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/kube/agent_exit.h"
#include "lib/document/json.h"
#include "observer/pod/termination.h"
#include "observer/evidence/watchdog_report.h"

/* The end of a container's own log, as it was read. */
struct log_end {
	char *bytes; /* changed: redacted in place */
	size_t length;
	bool cut; /* it does not begin where the log began */
};

#define VERDICT_TAIL_MAX ((size_t)4096)

struct verdict {
	struct agent_exit exit;
	bool failed; /* else it is a success, for the metrics */
	bool record; /* to be written */
};

/*
 * For an end that is kept where there is no room for the pod's patterns: message and context are
 * redacted with them now, then they are left out. The texts belong to the arena. False: it is full.
 */
bool verdict_redact(struct arena *arena, struct end *end);

/* line and log may be NULL; the log is used where there is no line. The texts of *ret_verdict
 * belong to end, line, log and arena. False: the arena is full. */
bool verdict_make(struct arena *arena, const struct end *end, const struct line *line,
                  struct log_end *log, struct verdict *ret_verdict);

#endif
