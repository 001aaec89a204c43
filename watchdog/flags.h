/*
 * flags: the command line of a job as a table.
 *
 * Lenient on purpose: these flags are written by the webhook into other people's pods. An unknown
 * flag or a bad value is said on stderr and passed over, the default stays; it never stops a pod.
 */
#ifndef LASTWORD_WATCHDOG_FLAGS_H
#define LASTWORD_WATCHDOG_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

struct flag {
	const char *name; /* "--grace" */
	/* Puts the value where target says; false with an error: it is bad, target is untouched. */
	bool (*read)(const char *value, void *target, struct error *error);
	void *target;
};

/* Readers. Texts are not copied: they live as long as argv. */
bool flag_text(const char *value, void *target, struct error *error);     /* const char * */
bool flag_duration(const char *value, void *target, struct error *error); /* int64_t, ns, >= 0 */
bool flag_count(const char *value, void *target, struct error *error);    /* int64_t, >= 0 */
bool flag_signal(const char *value, void *target, struct error *error);   /* int, of "SIGUSR1" */
bool flag_kill(const char *value, void *target, struct error *error);     /* bool, kill | report */

/*
 * Reads argv[0..argc), up to a "--". Returns the index after the "--", or argc when there is none:
 * there begins the wrapped command. Values follow their flag, as a word of their own or after "=".
 */
int flags_read(const struct flag *flags, size_t count, int argc, char **argv);

#endif
