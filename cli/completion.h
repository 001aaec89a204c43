/*
 * completion: what may follow on a command line, for shells (lastword completion SHELL) and for
 * kubectl, which runs a program named kubectl_complete-lastword in PATH.
 *
 * The form is that of kubectl's plugins (cobra's __complete): a choice on a line, with a tab and a
 * text where there is one; then ":" and a number, the sum of 2 (no space behind), 4 (no files) and
 * 16 (directories alone).
 */
#ifndef LASTWORD_CLI_COMPLETION_H
#define LASTWORD_CLI_COMPLETION_H

#include "cli/exit_records.h"
#include "cli/manual.h"

/* The words behind "lastword", the last of which is to be completed; it may be empty. Prints to
 * standard output. The exit status. */
int completion_print(int count, char **words);

/* ---- What the cluster has (completion_values.c) ---- */

/* Appends the values of that kind which begin with the text, a line each. Where the cluster cannot
 * be read there is none. all_namespaces: source.namespace NULL means all, else kubectl's. */
void completion_values(struct exit_source *source, bool all_namespaces, enum manual_value kind,
                       const char *begin, struct buffer *out);

#endif
