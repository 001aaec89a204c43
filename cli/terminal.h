/*
 * terminal: text of unknown origin for a person's terminal. The only home of libunistring.
 *
 * Nothing in a record may control the terminal: control characters (C0, DEL, C1), bidirectional
 * controls, invisible characters and bytes that are not UTF-8 are replaced. Widths are in columns,
 * as libunistring knows them (East Asian wide characters and emoji have two, combining characters
 * none). Pure but for terminal_width().
 */
#ifndef LASTWORD_CLI_TERMINAL_H
#define LASTWORD_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

/* The width of standard output: the variable COLUMNS, else the terminal's; SIZE_MAX: no limit. */
size_t terminal_width(void);

/* Appends text as one line: line ends and tabs become spaces, colours and other CSI sequences are
 * dropped, a single ESC becomes ^[, everything else that is not allowed U+FFFD. */
void terminal_line(struct buffer *out, const char *text);

/* Appends text of several lines, each after indent; colours and other CSI sequences are dropped,
 * tabs kept; of a line that was overwritten after CR, the last version counts. Ends with a line end
 * unless the text is empty. */
void terminal_block(struct buffer *out, const char *text, const char *indent);

/* Appends the JSON text with everything that must not reach a terminal as \u escapes; it means the
 * same. */
void terminal_json(struct buffer *out, const char *json, size_t length);

/* Columns that safe text takes. */
size_t terminal_columns(const char *text);

/* Appends safe text cut to width columns (>= 1) with "…" at the cut: the end, or the middle where
 * both ends matter. */
void terminal_cut(struct buffer *out, const char *text, size_t width, bool middle);

/* A length of time as kubectl writes it in AGE: 45s, 3m20s, 20m, 5h7m, 12h, 3d4h, 20d, 2y10d. */
void terminal_age(struct buffer *out, int64_t nanoseconds);

#endif
