/*
 * flags: the command line of a server: --name VALUE or --name=VALUE, a name may be cut where it
 * stays unique; --help and --version always; nothing beside.
 *
 * Thread safety: getopt_long()'s, so one call at a time.
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
 * Takes all flags of the line, each as often as it is there. -1: go on; else the status to exit
 * with: 0 when --help or --version was answered, FLAGS_EXIT_USAGE when stderr says what is wrong.
 */
int flags_read(const char *program, const char *usage, const struct flag *flags, size_t count,
               int argc, char **argv);

flag_take flag_log_level; /* no target: it is in force at once */

/* A decimal number from 1 to most; false, and error says so, for all else. */
bool flag_number(const char *text, unsigned long most, unsigned long *ret_value,
                 struct error *error);

#endif
