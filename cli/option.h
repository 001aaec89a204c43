/*
 * option: the flags of a command, one after the other, by getopt_long, as the table of commands has
 * them (manual.h); with messages that say what is wrong in the words of all the others.
 */
#ifndef LASTWORD_CLI_OPTION_H
#define LASTWORD_CLI_OPTION_H

#include <getopt.h>

#include "cli/manual.h"
#include "lib/base/error.h"

/* Takes one flag (enum flag); value NULL: it has none. */
typedef bool option_taker(void *context, int flag, const char *value, struct error *error);

/* Gives each flag to take() (NULL: the command has none but --help). -1: all are taken, and the
 * arguments are from optind on; else the exit status, after the help, or a message. */
int option_read(int argc, char **argv, const struct manual *manual, option_taker *take,
                void *context);

/* The value is one of the flag's words in the table; false with error: it is not. */
bool option_is_word(const struct manual *manual, enum flag flag, const char *value,
                    struct error *error);

/* Prints the command's help to standard output. */
void option_print_help(const struct manual *manual);

#endif
