/*
 * option: the flags of a command, one after the other, by getopt_long; with messages that say what
 * is wrong in the words of all the others.
 */
#ifndef LASTWORD_CLI_OPTION_H
#define LASTWORD_CLI_OPTION_H

#include <getopt.h>

#include "lib/base/error.h"

#define OPTION_END   (-1)
#define OPTION_WRONG '?'

/* Before the first option_next(): main has read arguments of its own. */
void option_begin(void);

/* The code of the next flag, its value in optarg; OPTION_END; OPTION_WRONG with error. letters
 * begins with ":". */
int option_next(int argc, char **argv, const char *letters, const struct option *long_options,
                struct error *error);

#endif
