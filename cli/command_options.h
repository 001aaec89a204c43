/*
 * command_options: the flags that inject, explain and check share.
 */
#ifndef LASTWORD_CLI_COMMAND_OPTIONS_H
#define LASTWORD_CLI_COMMAND_OPTIONS_H

#include "cli/manual.h"
#include "webhook/admission.h"

struct documents;
struct receiver_config;

enum output { OUTPUT_SAME, OUTPUT_YAML, OUTPUT_JSON, OUTPUT_PATCH, OUTPUT_TEXT };

struct command_options {
	const char *command;         /* the subcommand's name */
	const struct manual *manual; /* the command's flags; set by command_options_read() */
	bool takes_any_config;       /* also the observer's, as its kind says */
	const char *watchdog_image;  /* NULL: this release's */
	const char *config_path;     /* "-": standard input */
	const char *path;
	const char *namespace; /* where the document names none */
	enum output output;
	struct admission_context context;
	struct receiver_config *receivers; /* the observer's configuration; else it is in context */
};

/* Reads the flags and loads the configuration into context. -1: go on, and the caller calls
 * command_options_free(); else the exit status, after a message. */
int command_options_read(int argc, char **argv, struct command_options *options);
void command_options_free(struct command_options *options);

/* command_options_read(), and then the documents of -f; both are the caller's to free when -1. */
int command_options_load(int argc, char **argv, struct command_options *options,
                         struct documents *ret_documents);

#endif
