/*
 * breaker_reader: a thread that reads the state of the breaker every few seconds through the API,
 * and puts it in force (breaker_table.h). No review waits for it.
 *
 * What it cannot read, or what is no such state, leaves the one that is in force as it is, with one
 * line in the log; so does a refusal (403). No ConfigMap (404) is an empty state: the breaker is
 * closed everywhere.
 */
#ifndef LASTWORD_WEBHOOK_BREAKER_READER_H
#define LASTWORD_WEBHOOK_BREAKER_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "webhook/breaker_table.h"

struct breaker_reader;

struct breaker_reader_options {
	const char *service_account_dir;
	const char *namespace;
	const char *name;            /* of the ConfigMap */
	int64_t interval;            /* nanoseconds between two reads */
	struct breaker_table *table; /* outlives the reader */
};

/* Reads it once, for at most two seconds, before it returns: so the first review knows it already.
 * Texts of the options live as long as the reader. */
bool breaker_reader_start(const struct breaker_reader_options *options,
                          struct breaker_reader **ret_reader, struct error *error);
/* Breaks off what is under way. NULL is fine. */
void breaker_reader_stop(struct breaker_reader *reader);

#endif
