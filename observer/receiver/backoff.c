#include "observer/receiver/backoff.h"

enum outcome backoff_outcome(long status, int64_t retry_after)
{
	if (status / 100 == 2)
		return OUTCOME_ACCEPTED;
	if (status == 0 || status == 408 || status == 429 || status / 100 == 5 ||
	    (status == 403 && retry_after >= 0))
		return OUTCOME_RETRY;
	return OUTCOME_REFUSED;
}

int64_t backoff_delay(unsigned failures, int64_t retry_after, uint64_t random)
{
	unsigned doublings = failures > 0 ? failures - 1 : 0;
	int64_t most = doublings > 8 ? BACKOFF_MAX : BACKOFF_MIN << doublings;
	most = most > BACKOFF_MAX ? BACKOFF_MAX : most;
	int64_t delay = most / 2 + (int64_t)(random % (uint64_t)(most / 2 + 1));
	int64_t wanted = retry_after > BACKOFF_RETRY_AFTER ? BACKOFF_RETRY_AFTER : retry_after;
	if (wanted < delay)
		return delay;
	return wanted + (int64_t)(random % (uint64_t)SECOND);
}
