/*
 * patterns: lists of patterns (lib/base/glob.h), as the configuration has them. Pure.
 */
#ifndef LASTWORD_WEBHOOK_PATTERNS_H
#define LASTWORD_WEBHOOK_PATTERNS_H

#include <stdbool.h>

#include "lib/document/strings.h"

/* The text matches one of the patterns. Counted as work (lib/document/json.h): when that is used
 * up, nothing matches any more. */
bool matches_any(const struct strings *patterns, const char *text);

#endif
