/*
 * record_builder: builds the record from a termination and the evidence about it. Pure.
 *
 * Which source decides:
 *  1. The shim, where it killed the agent itself (deadline, silence).
 *  2. The reasons of the container and the pod (OOMKilled, Evicted, DisruptionTarget, …): they
 *     outweigh what is concluded from exit code and output.
 *  3. The watchdog's report: it has the whole end of the output, the signal, the kernel's count.
 *  4. Without a report the container's own log, or what the kubelet kept of it in its message.
 * Times and exit code are the kubelet's where it has them; the report's are finer, but untrusted.
 * An exit code that the kubelet made up (termination_has_exit_code()) counts as none.
 *
 * What becomes a record: every failure, that is every cause but Completed; and a termination with
 * exit code 0 that the kubelet calls OOMKilled: a process in the container was killed, the agent
 * went on (`Completed`, with the reason OOMKilled). */
#ifndef LASTWORD_OBSERVER_RECORD_RECORD_BUILDER_H
#define LASTWORD_OBSERVER_RECORD_RECORD_BUILDER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/kube/agent_exit.h"
#include "lib/document/json.h"
#include "observer/pod/termination.h"
#include "observer/pod/watchdog_report.h"

/* The last bytes of a container's own log, as they were read. */
struct log_tail {
	char *bytes; /* modified: redacted in place */
	size_t length;
	bool cut; /* it does not begin where the log began */
};

#define RECORD_LOG_TAIL_MAX ((size_t)4096)

struct built_record {
	struct agent_exit exit;
	bool failed; /* else it is a success, for the metrics */
	bool record; /* it is to be written */
};

/*
 * For a termination that is kept without the pod's redaction patterns: redacts message and context
 * with them and leaves them out. The texts belong to the arena. False: the arena is full.
 */
bool record_redact(struct arena *arena, struct termination *termination);

/* agent_exit_identity() of the records about that agent. False: the arena is full. */
bool record_identity(struct arena *arena, const struct termination *termination,
                     char ret_identity[AGENT_EXIT_IDENTITY_SIZE]);

/* report and log may be NULL; the log is used where there is no report. The texts of *ret_built
 * belong to termination, report, log and arena. False: the arena is full. */
bool record_build(struct arena *arena, const struct termination *termination,
                  const struct watchdog_report *report, struct log_tail *log,
                  struct built_record *ret_built);

#endif
