/*
 * backoff: what a receiver's response means, and how long to wait before it is tried again. Pure.
 *
 * Accepted: 2xx. Tried again: no response, 408, 429, 5xx, and 403 with Retry-After, which is how
 * GitHub limits rates. Refused, and never tried again: everything else, redirects included, which
 * are not followed.
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_BACKOFF_H
#define LASTWORD_OBSERVER_RECEIVER_BACKOFF_H

#include <stdint.h>

#include "lib/base/clock.h"

#define BACKOFF_MIN         SECOND
#define BACKOFF_MAX         (300 * SECOND)
#define BACKOFF_RETRY_AFTER (3600 * SECOND) /* a server may ask for no longer */

enum outcome { OUTCOME_ACCEPTED, OUTCOME_RETRY, OUTCOME_REFUSED };

/* status: of HTTP, 0: no response. retry_after: nanoseconds; -1: none. */
enum outcome backoff_outcome(long status, int64_t retry_after);

/* How long to wait after that number of failures in a row (1, 2, …): doubles from BACKOFF_MIN to
 * BACKOFF_MAX, half of it random; never shorter than retry_after, to which jitter is added. */
int64_t backoff_delay(unsigned failures, int64_t retry_after, uint64_t random);

#endif
