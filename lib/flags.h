/*
 * flags: the command line of a server: --name VALUE or --name=VALUE, a name may be cut where it
 * stays unique; --help and --version always; nothing beside.
 *
 * Thread safety: getopt_long()'s, so one call at a time.
 */
#ifndef LASTWORD_LIB_FLAGS_H
#define LASTWORD_LIB_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

#define FLAGS_MAX        62
#define FLAGS_EXIT_USAGE 2

/* Puts the value (which lives as long as the program) into target; false: error says what was
 * expected. */
typedef bool flag_take(const char *value, void *target, struct error *error);

struct flag {
	const char *name; /* without the dashes */
	flag_take *take;
	void *target;
};

/*
 * Takes all flags of the line, each as often as it is there. -1: go on; else the status to exit
 * with: 0 when --help or --version was answered, FLAGS_EXIT_USAGE when stderr says what is wrong.
 */
int flags_read(const char *program, const char *usage, const struct flag *flags, size_t count,
               int argc, char **argv);

flag_take flag_text;      /* const char *: anything */
flag_take flag_duration;  /* int64_t: nanoseconds, 0 or more */
flag_take flag_span;      /* int64_t: nanoseconds, more than 0 */
flag_take flag_log_level; /* no target: it is in force at once */

/* A decimal number from 1 to most; false, and error says so, for all else. */
bool flag_number(const char *text, unsigned long most, unsigned long *ret_value,
                 struct error *error);

#endif
