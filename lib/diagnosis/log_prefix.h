/*
 * log_prefix: what a logger puts before a message: time, level, logger, thread. Pure, linear.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_LOG_PREFIX_H
#define LASTWORD_LIB_DIAGNOSIS_LOG_PREFIX_H

#include <stddef.h>

#include "lib/diagnosis/log_level.h"

struct log_prefix {
	enum log_level level;
	size_t length; /* where the message begins; 0: nothing stands before it */
};

/* text[0..length) is a cleaned line and has its NUL. */
void log_prefix_read(const char *text, size_t length, struct log_prefix *ret_prefix);

#endif
