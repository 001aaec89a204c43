/*
 * subject: whose records lastword why shows. pod/NAME, KIND/NAME of an owner, workflow/ID, task/ID;
 * or a name alone, which is looked for as a pod's, then as that of an owner, a workflow or a task,
 * then as the beginning of a pod's name.
 */
#ifndef LASTWORD_CLI_SUBJECT_H
#define LASTWORD_CLI_SUBJECT_H

#include <stdbool.h>

#include "cli/record_options.h"

/* Loads the records, with their objects, of what options->argument and ->container say: those of
 * the first meaning that has any. Only a pod's are found by a label; for the others the namespace's
 * records are read. The caller frees the list whether it succeeded or not. */
bool subject_load(const struct record_options *options, struct exit_list *list,
                  struct error *error);

#endif
