/*
 * classify: finds the cause of a termination from what was observed of it. Pure; table-driven
 * (classify.c).
 *
 * Precedence, the first that applies:
 *  1. We killed it ourselves: deadline → Timeout, silence → Stalled.
 *  2. The pod's own reason, when the container did not end by itself (no exit code known, 0, 128+9,
 *     128+15, a signal, or told to terminate): Evicted, Preempted, NodeLost, DeadlineExceeded.
 *  3. The kubelet's reason for the container, where it says more than "Error": OOMKilled,
 *     StartError, DeadlineExceeded, image and configuration errors (NeverStarted). An OOMKilled
 *     with exit code 0 lost a child and finished all the same: Completed.
 *  4. Exit code 0 → Completed. The command could not be executed → StartError.
 *  5. The kernel's count of OOM kills in the cgroup grew and it failed → OOMKilled.
 *  6. The detail of the key lines (snippet.h), whose cause is in lib/diagnosis/rules/causes.rules.
 *     It does not count if the termination was forced from outside (SIGKILL, SIGTERM, 137, 143);
 *     a SIGSEGV or SIGBUS is a Segfault whatever was printed.
 *  7. The signal or exit code: 139, 134, 137, 143, 130, 124 (timeout(1)), 101 (Rust) where the
 *     output has no statement.
 *  8. A failure → Error; nothing known → Unknown.
 *
 * An uncaught exception without a better word (Python, Java, Node) is Error; Panic is a language's
 * own panic (Rust, Go). Permission denied and missing files are Error: the snippet says it.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_CLASSIFY_H
#define LASTWORD_LIB_DIAGNOSIS_CLASSIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/diagnosis/cause.h"
#include "lib/diagnosis/snippet.h"

struct buffer;

enum ended {
	ENDED_UNKNOWN,      /* only the reasons below are known */
	ENDED_EXITED,       /* exit_code; 128+n may be a signal as a shell or runtime tells it */
	ENDED_SIGNALED,     /* signal */
	ENDED_VANISHED,     /* the shim's connection closed without a word: killed from outside */
	ENDED_NOT_EXECUTED, /* the command could not be executed; exit_code 126 or 127 */
};

enum killed_by_us {
	KILLED_BY_US_NOT,
	KILLED_BY_US_DEADLINE,
	KILLED_BY_US_SILENCE,
};

/* All zero is "nothing known". Strings may be NULL or "". */
struct observation {
	enum ended ended;
	int exit_code;
	int signal;
	uint64_t oom_kills; /* how much the cgroup's count grew during the run */
	enum killed_by_us killed_by_us;
	bool termination_requested;    /* it was sent a terminating signal, or its pod is deleted */
	const char *container_reason;  /* state.terminated.reason or state.waiting.reason */
	const char *pod_reason;        /* pod status.reason */
	const char *disruption;        /* reason of the pod's DisruptionTarget condition */
	const struct snippet *snippet; /* of the redacted tail; NULL: no output is known */
};

/* ret_evidence (may be NULL): a constant word for the row that decided, such as "oom-kills". */
enum cause classify(const struct observation *observation, const char **ret_evidence);

/* The word of causes.rules that says more than the cause; NULL: the output gives none for it. */
const char *classify_detail(const struct observation *observation, enum cause cause);

/* "SIGSEGV", "SIGRTMIN+3"; NULL for what is no signal. storage is used for real-time signals. */
#define SIGNAL_NAME_SIZE 16
const char *signal_name(int number, char storage[SIGNAL_NAME_SIZE]);

/*
 * One line for people, at most SUMMARY_SIZE_MAX bytes of whole UTF-8 characters. The statement,
 * without the cause and code that stand beside it; where the cause is not the statement's, it goes
 * first; where the output has no statement, how it ended and the last line:
 *   thread 'main' panicked at src/main.rs:4:5: index out of bounds
 *   Abort: ERROR: no plan
 *   OOMKilled, exit 137: loading model weights
 * Appends it to out.
 */
#define SUMMARY_SIZE_MAX 160
void classify_summary(const struct observation *observation, enum cause cause, struct buffer *out);

#endif
