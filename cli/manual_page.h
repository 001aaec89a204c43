/*
 * manual_page: the table of commands as man pages, in man(7), and as the reference of docs/cli.md,
 * in Markdown. Pure.
 */
#ifndef LASTWORD_CLI_MANUAL_PAGE_H
#define LASTWORD_CLI_MANUAL_PAGE_H

#include "cli/manual.h"

/* Appends lastword-COMMAND(1), or lastword(1) where manual is NULL. date: YYYY-MM-DD. */
void manual_write_page(const struct manual *manual, const char *version, const char *date,
                       struct buffer *out);

/* Appends the reference of all commands. */
void manual_write_reference(struct buffer *out);

#endif
