/*
 * exit_watch: prints records, and then each that is new or has changed, until it is interrupted.
 *
 * Lists, and watches from the list's resourceVersion on. A watch that ends, as the API server ends
 * each after some minutes, goes on from the last event; one that fails is tried again, after 1 s, 2
 * s … 30 s; where the API server no longer knows the resourceVersion (410 Gone), the list is read
 * again, and what is new or has changed in it is printed. A record is printed again only when what
 * is shown of it has changed: with a table the texts of its columns but AGE, with JSON and YAML the
 * object, with names nothing. Deleted records are not printed.
 */
#ifndef LASTWORD_CLI_EXIT_WATCH_H
#define LASTWORD_CLI_EXIT_WATCH_H

#include "cli/record_options.h"

/* The exit status: EXIT_OK once it is interrupted; EXIT_FAILED, after a message, when the first
 * list cannot be read. */
int exit_watch(struct record_options *options);

#endif
