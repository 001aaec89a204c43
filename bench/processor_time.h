/*
 * processor_time: what a measurement costs this thread, in nanoseconds. Others may be at work on
 * the machine.
 */
#ifndef LASTWORD_BENCH_PROCESSOR_TIME_H
#define LASTWORD_BENCH_PROCESSOR_TIME_H

#include <stdint.h>
#include <time.h>

#include "lib/base/clock.h"

static inline int64_t processor_time(void)
{
	struct timespec time;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * SECOND + time.tv_nsec;
}

#endif
