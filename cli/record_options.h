/*
 * record_options: the flags that exits and why share.
 */
#ifndef LASTWORD_CLI_RECORD_OPTIONS_H
#define LASTWORD_CLI_RECORD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/exit_records.h"

struct buffer;

enum record_output { RECORDS_TABLE, RECORDS_WIDE, RECORDS_JSON };

struct record_options {
	const char *command;
	const char *usage;
	const char *flags; /* the letters that the command takes */
	struct exit_source source;
	bool all_namespaces;
	int64_t since; /* nanoseconds; 0: for ever */
	enum record_output output;
	const char *container; /* NULL: any */
	bool log;
	bool unresolved;      /* only records without status.resolvedAt */
	const char *argument; /* the one argument that is no flag, or NULL */
	char namespace[64];   /* storage */
};

/* Reads the flags; asks kubectl for its namespace where none is named. -1: go on; else the exit
 * status, after a message. */
int record_options_read(int argc, char **argv, struct record_options *options);

/* Writes the text to standard output. The exit status. */
int record_print(const struct record_options *options, const struct buffer *text);

/* Appends {"kind":"AgentExitList",…} of rows that have their objects. */
void record_json(struct buffer *out, const struct exit_list *list);

#endif
