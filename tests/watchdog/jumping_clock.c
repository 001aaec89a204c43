/* Put in the place of clock_gettime() by the linker: the wall clock jumps by up to three years,
 * forth and back, at every look; the monotonic one is the kernel's. */
#include <time.h>

int __real_clock_gettime(clockid_t which, struct timespec *ret_time);
int __wrap_clock_gettime(clockid_t which, struct timespec *ret_time);

int __wrap_clock_gettime(clockid_t which, struct timespec *ret_time)
{
	static const time_t jumps[] = {0, -86400, 94608000, -94608000, 3600, -1, 7, -3600};
	static unsigned look;
	int result = __real_clock_gettime(which, ret_time);
	if (which == CLOCK_REALTIME)
		ret_time->tv_sec += jumps[look++ % (sizeof jumps / sizeof jumps[0])];
	return result;
}
