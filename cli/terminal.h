/*
 * terminal: text of unknown origin for a person's terminal, and tables that fit it.
 *
 * Nothing that a record says may steer the terminal: control characters (C0, DEL, C1), characters
 * that turn the direction of writing or are invisible, and bytes that are not UTF-8 are replaced.
 * Widths are in columns (East Asian wide characters and emoji are two, combining ones none), after
 * Unicode 15's EastAsianWidth and general categories, coarsely: what is not known is one.
 * Pure but for terminal_width().
 */
#ifndef LASTWORD_CLI_TERMINAL_H
#define LASTWORD_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

/* What standard output is: COLUMNS, else the terminal's own width; SIZE_MAX: no limit. */
size_t terminal_width(void);

/* Appends text on one line: line ends and tabs are spaces, colours and other CSI sequences are
 * dropped, a stray ESC is ^[, what else may not be is U+FFFD. */
void terminal_line(struct buffer *out, const char *text);

/* Appends text of several lines, each after indent; colours and other CSI sequences are dropped,
 * tabs kept, of a line redrawn with CR the last drawing counts. Ends with a line end unless the
 * text is empty. */
void terminal_block(struct buffer *out, const char *text, const char *indent);

/* The JSON text with what may not reach a terminal as \u escapes; its meaning is the same. */
void terminal_json(struct buffer *out, const char *json, size_t length);

/* Columns that safe text takes. */
size_t terminal_columns(const char *text);

/* Appends safe text cut to width columns (>= 1) with "…" at the cut; in the middle where both ends
 * tell something. */
void terminal_cut(struct buffer *out, const char *text, size_t width, bool middle);

/* A length of time as kubectl writes it in AGE: 45s, 3m20s, 20m, 5h7m, 12h, 3d4h, 20d, 2y10d. */
void terminal_age(struct buffer *out, int64_t nanoseconds);

/*
 * A table as kubectl prints it: a head, columns padded, three spaces between (two where it is
 * narrow), the last one not padded. Where it is wider than width, columns shrink, the first to the
 * least first; if that would not be enough, columns are left out before, the first to go first.
 */
#define TABLE_COLUMNS_MAX 16

struct table_column {
	const char *title;
	unsigned shrinks; /* its turn to be cut, from 1; 0: never */
	unsigned goes;    /* its turn to be left out, from 1; 0: never */
	size_t least;     /* columns that it is cut to at most */
	bool middle;      /* cut in the middle */
};

/* cells: rows times count texts, row by row; already safe. */
void table_print(struct buffer *out, const struct table_column *columns, size_t count,
                 const char *const *cells, size_t rows, size_t width);

#endif
