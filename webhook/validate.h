/*
 * validate: what the configuration and a pod's annotations both have to get right. Pure.
 */
#ifndef LASTWORD_WEBHOOK_VALIDATE_H
#define LASTWORD_WEBHOOK_VALIDATE_H

#include <stdbool.h>

/* The name is that of a signal, as kill -l writes it with SIG in front. */
bool signal_name_valid(const char *name);

/* A field of the report: letters, digits and underscores, not starting with a digit, and none that
 * the report has of its own. */
bool context_name_valid(const char *name);

#endif
