/*
 * glob: names against patterns, as a shell's: * is any run of characters (none included, slashes
 * too), ? is any one byte, everything else is itself. Pure; time is at most the product of both
 * lengths, without recursion.
 */
#ifndef LASTWORD_LIB_BASE_GLOB_H
#define LASTWORD_LIB_BASE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

bool glob_match(const char *pattern, const char *text);

/* Any of count patterns matches. */
bool glob_match_any(const char *const *patterns, size_t count, const char *text);

#endif
