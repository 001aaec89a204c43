/*
 * table: a table as kubectl prints it: titles, columns padded, three spaces between them (two where
 * the table is narrow), the last column not padded.
 *
 * A table that is wider than it may be loses the columns that say the same in every row, where they
 * may go, and then gets narrower columns, down to each one's min_width, in the order of
 * shrink_turn. Where that cannot be enough, more columns are dropped first, in the order of
 * drop_turn. Pure.
 */
#ifndef LASTWORD_CLI_TABLE_H
#define LASTWORD_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/color.h"

struct buffer;

#define TABLE_COLUMNS_MAX 16

struct table_column {
	const char *title;
	unsigned shrink_turn; /* from 1; 0: never cut */
	unsigned drop_turn;   /* from 1; 0: never dropped */
	size_t min_width;     /* it is never cut to fewer columns */
	bool middle;          /* cut in the middle */
	bool drop_if_same;    /* dropped first where two rows or more all say the same */
};

/* Of a table that grows, all zero at first: rows that come later fit those above them. The titles
 * are printed again when other columns are shown. */
struct table_memory {
	size_t needed[TABLE_COLUMNS_MAX]; /* the widest text so far */
	bool shown[TABLE_COLUMNS_MAX];    /* below the last titles */
	bool titled;
};

struct table {
	const struct table_column *columns;
	size_t count;                /* of columns, at most TABLE_COLUMNS_MAX */
	size_t width;                /* SIZE_MAX: no limit */
	bool no_titles;              /* the rows alone */
	const enum color *colors;    /* of each cell, where there are any; NULL: none */
	struct table_memory *memory; /* NULL: it does not grow. Else no column is dropped for what
	                                it says */
};

/* cells: rows times table->count texts, row by row, safe for a terminal (terminal_line). */
void table_print(struct buffer *out, const struct table *table, const char *const *cells,
                 size_t rows);

/* The same of texts that stand one after the other, each with its NUL. Fails with the texts. */
void table_print_texts(struct buffer *out, const struct table *table, const struct buffer *texts,
                       size_t rows);

#endif
