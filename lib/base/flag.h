/*
 * flag: a row in the table of a command line's flags, and readers of values. lib/base/flags.h reads
 * a server's command line by such a table, watchdog/flags.h that of a subcommand.
 *
 * Texts are not copied: they live as long as argv. Thread safety: no state.
 */
#ifndef LASTWORD_LIB_BASE_FLAG_H
#define LASTWORD_LIB_BASE_FLAG_H

#include <stdbool.h>

#include "lib/base/error.h"

/* Puts the value where target says. False: target is untouched, error says what was expected. */
typedef bool flag_take(const char *value, void *target, struct error *error);

struct flag {
	const char *name; /* without the dashes */
	flag_take *take;
	void *target;
};

flag_take flag_text;     /* const char *: anything */
flag_take flag_duration; /* int64_t: nanoseconds, 0 or more */
flag_take flag_span;     /* int64_t: nanoseconds, more than 0 */

#endif
