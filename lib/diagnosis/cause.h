/*
 * cause: the causes of a container's termination, and the details that say more than a cause.
 *
 * The words are stable: records, metrics, alerts and people's filters have them. A detail belongs
 * to one cause and says what to do about it: a rate limit passes by itself, a quota is paid, a
 * context that is too long is shortened, a key is replaced. The details are listed, with their
 * causes and in their order of precedence, in lib/diagnosis/rules/causes.rules.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_CAUSE_H
#define LASTWORD_LIB_DIAGNOSIS_CAUSE_H

#include <stdbool.h>

enum cause {
	CAUSE_UNKNOWN,
	CAUSE_COMPLETED,
	CAUSE_ERROR,
	CAUSE_PANIC,
	CAUSE_ABORT,
	CAUSE_SEGFAULT,
	CAUSE_OOM_KILLED,
	CAUSE_KILLED,
	CAUSE_TERMINATED,
	CAUSE_TIMEOUT,
	CAUSE_STALLED,
	CAUSE_START_ERROR,
	CAUSE_NEVER_STARTED,
	CAUSE_DEPENDENCY,
	CAUSE_EVICTED,
	CAUSE_PREEMPTED,
	CAUSE_NODE_LOST,
	CAUSE_COUNT
};

/* "OOMKilled"; "Unknown" for what is no cause. */
const char *cause_name(enum cause cause);

/* The cause of that name; false: there is none, *ret_cause is untouched. */
bool cause_from_name(const char *name, enum cause *ret_cause);

#endif
