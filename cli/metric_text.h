/*
 * metric_text: reads Prometheus text (format 0.0.4), as our programs print it. Pure.
 */
#ifndef LASTWORD_CLI_METRIC_TEXT_H
#define LASTWORD_CLI_METRIC_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* The sum of a metric's series that have the text in their labels (NULL: all); false: there is
 * none, and *ret_value is 0. */
bool metric_text_sum(const char *metrics, const char *name, const char *labels, double *ret_value);

/* The next series of a metric behind *position, which begins at the metrics: the value of its only
 * label, LABEL="…", without escapes undone; false: there is none left, or it does not fit. */
bool metric_text_next_label(const char **position, const char *name, const char *label,
                            char *ret_value, size_t size);

#endif
