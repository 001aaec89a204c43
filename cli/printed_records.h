/*
 * printed_records: which records a watch has printed, and as what: a table of hashes. It remembers
 * at most PRINTED_RECORDS_MAX; then it forgets all, and those that still change are printed once
 * more. Pure.
 */
#ifndef LASTWORD_CLI_PRINTED_RECORDS_H
#define LASTWORD_CLI_PRINTED_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRINTED_RECORDS_MAX ((size_t)1 << 20)

struct printed_record;

/* All zero: none. */
struct printed_records {
	struct printed_record *places;
	size_t place_count; /* a power of two; 0: none yet */
	size_t count;
};

/* Remembers that the record of this name is printed with this content. *ret_changed: it was not
 * before, or with another content. False: no memory. */
bool printed_records_note(struct printed_records *records, uint64_t name, uint64_t content,
                          bool *ret_changed);
void printed_records_free(struct printed_records *records);

#endif
