/*
 * rate_limit: a token bucket that is full at first: `burst` at once, then one per `interval`. Pure;
 * the state of a bucket is one point of time.
 */
#ifndef LASTWORD_WATCHDOG_RATE_LIMIT_H
#define LASTWORD_WATCHDOG_RATE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct rate_limit {
	int64_t burst;
	int64_t interval; /* nanoseconds */
};

/* The bucket will be full again at this time; 0: it is full. */
typedef int64_t rate_bucket;

/* Takes one token from the bucket; false: it is empty. */
bool rate_limit_take(const struct rate_limit *limit, rate_bucket *bucket, int64_t now);

#endif
