/*
 * clock: the two clocks. Every wait and length of time is measured on the monotonic one, so a jump
 * of the wall clock changes what is printed and nothing else; where it is compared with other
 * machines' times, observer/base/wall_clock.h and certs/reconcile.h say what is done about jumps.
 * Nanoseconds. Thread-safe.
 */
#ifndef LASTWORD_LIB_BASE_CLOCK_H
#define LASTWORD_LIB_BASE_CLOCK_H

#include <stdint.h>

#define SECOND      INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)

/* Never: the latest point of time. */
#define NEVER INT64_MAX

/* CLOCK_MONOTONIC. */
int64_t clock_now(void);

/* CLOCK_REALTIME, since 1970. */
int64_t clock_wall(void);

/* The timeout for poll(2) until `when`: milliseconds, rounded up; 0 when it is past, -1 for NEVER.
 */
int clock_timeout(int64_t now, int64_t when);

/* The earlier one. */
static inline int64_t clock_earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* How far apart two points of time are. */
static inline int64_t clock_distance(int64_t a, int64_t b)
{
	return a < b ? b - a : a - b;
}

/* now + length, NEVER when that is beyond. Neither is negative. */
static inline int64_t clock_after(int64_t now, int64_t length)
{
	return length > NEVER - now ? NEVER : now + length;
}

#endif
