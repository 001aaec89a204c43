#include "lib/base/clock.h"

#include <limits.h>
#include <time.h>

static int64_t read_clock(clockid_t which)
{
	struct timespec time = {0};
	clock_gettime(which, &time);
	return (int64_t)time.tv_sec * SECOND + time.tv_nsec;
}

int64_t clock_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

int clock_timeout(int64_t now, int64_t when)
{
	if (when == NEVER)
		return -1;
	if (when <= now)
		return 0;
	int64_t milliseconds = (when - now - 1) / MILLISECOND + 1;
	return milliseconds > INT_MAX ? INT_MAX : (int)milliseconds;
}
