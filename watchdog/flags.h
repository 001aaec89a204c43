/*
 * flags: the command line of a job as a table.
 *
 * Lenient on purpose: these flags are written by the webhook into other people's pods. An unknown
 * flag or a bad value is said on stderr and passed over, the default stays; it never stops a pod.
 */
#ifndef LASTWORD_WATCHDOG_FLAGS_H
#define LASTWORD_WATCHDOG_FLAGS_H

#include <stddef.h>

#include "lib/base/flag.h"

flag_take flag_count;  /* int64_t: 0 or more */
flag_take flag_signal; /* int: of a name such as "SIGUSR1" */
flag_take flag_kill;   /* bool: kill or report */

/*
 * Reads argv[0..argc), up to a "--". Returns the index after the "--", or argc when there is none:
 * there begins the wrapped command. Values follow their flag, as a word of their own or after "=".
 */
int subcommand_flags_read(const struct flag *flags, size_t count, int argc, char **argv);

#endif
