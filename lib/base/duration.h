/*
 * duration: lengths of time as Go writes them ("1h30m", "1.5s", "500ms"), in nanoseconds.
 *
 * The grammar is that of Go's time.ParseDuration: an optional sign, then "0" or one or more
 * decimal numbers, each with an optional fraction and a unit of ns, us (µs), ms, s, m, h. The
 * range is int64_t: about 292 years. No floating point; pure; runs in the agent's pod.
 */
#ifndef LASTWORD_LIB_BASE_DURATION_H
#define LASTWORD_LIB_BASE_DURATION_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"

struct buffer;

bool duration_parse(const char *text, int64_t *ret_nanoseconds, struct error *error);

/* As Go's Duration.String(): "1h30m0s", "1.5s", "500ms", "0s". Parses back to the same value. */
void duration_print(struct buffer *out, int64_t nanoseconds);

#endif
