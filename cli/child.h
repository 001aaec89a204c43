/*
 * child: a child process without a shell, whose standard output is read while it runs. Its standard
 * error is passed on (it may ask for a login there); the last of it before a failure becomes the
 * error.
 */
#ifndef LASTWORD_CLI_CHILD_H
#define LASTWORD_CLI_CHILD_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/interrupt.h"
#include "lib/base/error.h"

struct child_output {
	/* Some of its standard output. False: no more is wanted, and the child is killed. */
	bool (*take)(void *context, const char *bytes, size_t length);
	void *context;
	const struct interrupt *interrupt; /* NULL: none; else it is killed when one comes */
	int quiet_ms; /* it is killed when it printed nothing for so long; -1: never */
};

enum child_end { CHILD_EXITED, CHILD_UNWANTED, CHILD_INTERRUPTED, CHILD_QUIET };

/* Runs arguments[0], from PATH where it has no slash, to its end; the list ends with NULL. False:
 * it was not started, or it failed by itself. */
bool child_run(const char *const *arguments, const struct child_output *output,
               enum child_end *ret_end, struct error *error);

#endif
