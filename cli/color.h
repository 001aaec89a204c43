/*
 * color: what stands out on a terminal. Escapes are SGR sequences (ECMA-48, 8.3.117), and are only
 * written where color_is_wanted() says so: never into a pipe or a file, unless somebody asks for
 * it.
 */
#ifndef LASTWORD_CLI_COLOR_H
#define LASTWORD_CLI_COLOR_H

#include <stdbool.h>

struct buffer;

enum color {
	COLOR_NONE,
	COLOR_ALARM,   /* silent, failed: bold red */
	COLOR_WARNING, /* yellow */
	COLOR_GOOD,    /* green */
	COLOR_TITLE,   /* bold */
	COLOR_DONE     /* what needs no attention any more: faint */
};

enum color_when { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

/* COLOR_AUTO: standard output is a terminal, the variable NO_COLOR is empty or not set
 * (no-color.org), and TERM names a terminal other than "dumb". */
bool color_is_wanted(enum color_when when);

/* Append what begins a color, and what ends it; nothing for COLOR_NONE. */
void color_begin(struct buffer *out, enum color color);
void color_end(struct buffer *out, enum color color);

#endif
