/*
 * input: a file that a flag names, or standard input.
 */
#ifndef LASTWORD_CLI_INPUT_H
#define LASTWORD_CLI_INPUT_H

#include <stdbool.h>

#include "lib/base/error.h"

struct buffer;

/* Appends all of a file; of standard input where path is "-". error names what was read. */
bool input_read(const char *path, struct buffer *out, struct error *error);

#endif
