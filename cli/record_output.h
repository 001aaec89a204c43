/*
 * record_output: records in a machine's form, for exits and why. Nothing in them may control the
 * terminal (terminal.h); what would is escaped, and means the same.
 */
#ifndef LASTWORD_CLI_RECORD_OUTPUT_H
#define LASTWORD_CLI_RECORD_OUTPUT_H

#include "cli/record_options.h"

struct buffer;

/* Appends the records, which have their objects, as options->output says: an AgentExitList in JSON
 * or YAML, what a template makes of it, or their names. False: the template asks for what is not
 * there, or there is no memory. Ask buffer_ok(), too. */
bool record_output_write(const struct record_options *options, const struct exit_list *list,
                         struct buffer *out, struct error *error);

/* The same, each record by itself as kubectl get -w prints them: JSON objects one after the other,
 * YAML documents, names, or what the template makes of each. first: nothing is printed yet. False:
 * no memory; a template that fails for one record is a message, and the others are printed. */
bool record_output_write_each(const struct record_options *options, const struct exit_list *list,
                              bool first, struct buffer *out, struct error *error);

/* A message that there is no record, or that there are only items that are none. */
void record_report_none(const struct record_options *options, const struct exit_list *list);

/* Writes the text to standard output. The exit status. */
int record_print(const struct record_options *options, const struct buffer *text);

#endif
