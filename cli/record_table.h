/*
 * record_table: records as a table for people.
 */
#ifndef LASTWORD_CLI_RECORD_TABLE_H
#define LASTWORD_CLI_RECORD_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/exit_records.h"
#include "cli/table.h"

struct buffer;

struct record_table {
	bool namespaces;             /* with the column NAMESPACE */
	bool wide;                   /* all columns, nothing cut; else as wide as the terminal */
	bool no_titles;              /* the rows alone */
	bool color;                  /* what is silent stands out, and what is resolved does not */
	int64_t now;                 /* for AGE; nanoseconds since 1970 */
	struct table_memory *memory; /* of a table that grows; NULL: it does not */
};

/* Changes when what the table shows of the row changes; its age is none of it. */
uint64_t record_table_hash(const struct record_table *table, const struct exit_row *row);

void record_table_print(const struct record_table *table, const struct exit_row *rows, size_t count,
                        struct buffer *out);

#endif
