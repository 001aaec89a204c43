/*
 * option: the flags of a command, one after the other, by getopt_long, as the table of commands has
 * them (manual.h); with messages that say what is wrong in the words of all the others.
 */
#ifndef LASTWORD_CLI_OPTION_H
#define LASTWORD_CLI_OPTION_H

#include <getopt.h>

#include "cli/manual.h"
#include "lib/base/error.h"

#define OPTION_END   (-1)
#define OPTION_WRONG '?'

/* Before the first option_next(): main has read arguments of its own. */
void option_begin(void);

/* The next flag (enum flag), its value in optarg; OPTION_END, with the arguments from optind on;
 * OPTION_WRONG with error. */
int option_next(int argc, char **argv, const struct manual *manual, struct error *error);

/* The value is one of the flag's words in the table; false with error: it is not. */
bool option_is_word(const struct manual *manual, enum flag flag, const char *value,
                    struct error *error);

/* Prints the command's help to standard output. */
void option_print_help(const struct manual *manual);

#endif
