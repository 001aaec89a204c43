/*
 * flags: the command line of a subcommand as a table.
 *
 * Lenient on purpose: the webhook writes these flags into other people's pods, and a bad one must
 * never stop a pod. An unknown flag or a bad value is logged and ignored, the default stays.
 */
#ifndef LASTWORD_WATCHDOG_FLAGS_H
#define LASTWORD_WATCHDOG_FLAGS_H

#include <stddef.h>

#include "lib/base/flag.h"

flag_take flag_count;   /* int64_t: 0 or more */
flag_take flag_signal;  /* int: of a name such as "SIGUSR1" */
flag_take flag_kill;    /* bool: kill or report */
flag_take flag_present; /* bool: true; the flag has no value */

/*
 * Reads argv[0..argc), up to a "--". Returns the index after the "--", where the wrapped command
 * begins, or argc if there is none. A value is the next argument, or follows after "=".
 */
int subcommand_flags_read(const struct flag *flags, size_t count, int argc, char **argv);

#endif
