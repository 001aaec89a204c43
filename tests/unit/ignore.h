/* What the state machines of the observer call, for tests in which nobody waits for it. */
#ifndef LASTWORD_TESTS_IGNORE_H
#define LASTWORD_TESTS_IGNORE_H

#include <stdint.h>

static inline void ignore(void *context)
{
	(void)context;
}

static inline void ignore_record(void *context, const char *namespace, const char *identity,
                                 int64_t ended_at)
{
	(void)context;
	(void)namespace;
	(void)identity;
	(void)ended_at;
}

#endif
