#include "lib/diagnosis/cause.h"

#include <stddef.h>
#include <string.h>

static const char *const cause_names[CAUSE_COUNT] = {
        "Unknown",      "Completed",  "Error",      "Panic",     "Abort",    "Segfault",
        "OOMKilled",    "Killed",     "Terminated", "Timeout",   "Stalled",  "StartError",
        "NeverStarted", "Dependency", "Evicted",    "Preempted", "NodeLost",
};

const char *cause_name(enum cause cause)
{
	return (unsigned)cause < CAUSE_COUNT ? cause_names[cause] : cause_names[CAUSE_UNKNOWN];
}

bool cause_from_name(const char *name, enum cause *ret_cause)
{
	for (unsigned i = 0; name != NULL && i < CAUSE_COUNT; i++)
		if (strcmp(name, cause_names[i]) == 0) {
			*ret_cause = (enum cause)i;
			return true;
		}
	return false;
}
