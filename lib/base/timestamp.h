/*
 * timestamp: points of time as RFC 3339 wants them, from nanoseconds since 1970 in UTC.
 *
 * Pure arithmetic on the proleptic Gregorian calendar: no time zone files, no locale. Runs in the
 * agent's pod.
 */
#ifndef LASTWORD_LIB_BASE_TIMESTAMP_H
#define LASTWORD_LIB_BASE_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

#define TIMESTAMP_SIZE 28 /* "2026-11-23T08:15:30.123456Z" and the NUL */

/* Years 1970 to 9999; before and after: the nearest that can be written. */
void timestamp_print(int64_t nanoseconds, char ret_text[TIMESTAMP_SIZE]);

/* RFC 3339, date and time with any fraction and an offset or Z, to the nanosecond (what is finer is
 * dropped); a leap second counts as the second after. False, *ret_nanoseconds untouched, for what
 * is no such time or does not fit (1677 to 2262). */
bool timestamp_parse(const char *text, int64_t *ret_nanoseconds);

#endif
