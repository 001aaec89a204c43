/*
 * timestamp: points of time as RFC 3339 wants them, from nanoseconds since 1970 in UTC.
 *
 * Pure arithmetic on the proleptic Gregorian calendar: no time zone files, no locale. Runs in the
 * agent's pod.
 */
#ifndef LASTWORD_LIB_TIMESTAMP_H
#define LASTWORD_LIB_TIMESTAMP_H

#include <stdint.h>

#define TIMESTAMP_SIZE 28 /* "2026-11-23T08:15:30.123456Z" and the NUL */

/* Years 1970 to 9999; before and after: the nearest that can be written. */
void timestamp_print(int64_t nanoseconds, char ret_text[TIMESTAMP_SIZE]);

#endif
