/*
 * glob: names against patterns, as a shell's: * is any run of characters (none included, slashes
 * too), ? is any one byte, everything else is itself. Pure; time is at most the product of both
 * lengths, without recursion.
 */
#ifndef LASTWORD_LIB_GLOB_H
#define LASTWORD_LIB_GLOB_H

#include <stdbool.h>

bool glob_match(const char *pattern, const char *text);

#endif
