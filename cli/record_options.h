/*
 * record_options: the flags of the commands that read a cluster.
 */
#ifndef LASTWORD_CLI_RECORD_OPTIONS_H
#define LASTWORD_CLI_RECORD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/color.h"
#include "cli/exit_records.h"
#include "cli/manual.h"

enum record_output {
	RECORDS_TABLE,
	RECORDS_WIDE,
	RECORDS_JSON, /* from here on for programs */
	RECORDS_YAML,
	RECORDS_NAME,
	RECORDS_JSONPATH,
};

struct record_options {
	const char *command;
	const struct manual *manual; /* the command's flags; set by record_options_read() */
	struct exit_source source;
	bool all_namespaces;
	int64_t now;   /* when the flags were read; nanoseconds since 1970, as the next two */
	int64_t since; /* 0: for ever */
	int64_t until; /* 0: for ever */
	enum record_output output;
	const char *template;  /* of RECORDS_JSONPATH; it can be compiled */
	const char *container; /* NULL: any; and so the next two */
	const char *cause;
	const char *agent;
	bool no_headers;
	bool watch;
	bool client; /* nothing of a cluster */
	enum color_when color_when;
	bool color;              /* what stands out is written with escapes */
	const char *config_path; /* NULL: none */
	bool log;
	const char *log_file; /* NULL: none */
	bool unresolved;      /* only records without status.resolvedAt */
	const char *argument; /* the one argument that is no flag, or NULL */
	char namespace[64];   /* storage */
};

/* Reads the flags; asks kubectl for its namespace where none is named. -1: go on; else the exit
 * status, after a message. */
int record_options_read(int argc, char **argv, struct record_options *options);

/* The flags that choose records do not exclude this one. An exit_filter, the options its context.
 */
bool record_is_chosen(void *options, const struct agent_exit *exit);

/* The output is for programs: records need their objects. */
static inline bool record_output_is_for_machines(const struct record_options *options)
{
	return options->output >= RECORDS_JSON;
}

#endif
