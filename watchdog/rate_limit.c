#include "watchdog/rate_limit.h"

#include "lib/base/clock.h"

bool rate_limit_take(const struct rate_limit *limit, rate_bucket *bucket, int64_t now)
{
	if (*bucket > clock_after(now, (limit->burst - 1) * limit->interval))
		return false;
	*bucket = clock_after(*bucket > now ? *bucket : now, limit->interval);
	return true;
}
