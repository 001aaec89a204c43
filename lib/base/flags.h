/*
 * flags: the command line of a server: --name VALUE or --name=VALUE; a name may be abbreviated
 * where that is unique. --help and --version are always there. Other arguments are errors.
 *
 * Thread safety: uses getopt_long(), so one call at a time.
 */
#ifndef LASTWORD_LIB_BASE_FLAGS_H
#define LASTWORD_LIB_BASE_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/base/flag.h"

#define FLAGS_MAX        62
#define FLAGS_EXIT_USAGE 2

/*
 * Reads all flags; one may be repeated. Returns -1 to go on, else the status to exit with: 0 after
 * --help or --version, FLAGS_EXIT_USAGE after an error, which was printed on stderr.
 */
int flags_read(const char *program, const char *usage, const struct flag *flags, size_t count,
               int argc, char **argv);

flag_take flag_log_level; /* has no target: it takes effect at once */

/* A decimal number from 1 to most; false, with an error, for everything else. */
bool flag_number(const char *text, unsigned long most, unsigned long *ret_value,
                 struct error *error);

#endif
