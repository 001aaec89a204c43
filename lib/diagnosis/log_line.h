/*
 * log_line: one line of a log as a person reads it.
 *
 * Terminal sequences, boxes and what was drawn over with CR are taken off, what is no UTF-8
 * becomes U+FFFD, control characters become spaces. Of a JSON object the message and the error are
 * taken (of a stack trace in them, what it says). The level that the line gives itself is found in
 * the forms of the usual loggers (ERROR, [error], level=error, klog, syslog, JSON members), and
 * where the message begins, behind time, level, logger and thread.
 *
 * Pure, no heap, linear in the line.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_LOG_LINE_H
#define LASTWORD_LIB_DIAGNOSIS_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/diagnosis/log_level.h"

/* How much of a line is looked at: what is wrong is said near its beginning. */
#define LOG_LINE_MAX ((size_t)4096)
/* The same of a JSON object, where the message may be behind a whole stack trace. */
#define LOG_LINE_JSON_MAX ((size_t)65536)

struct log_line {
	char text[LOG_LINE_MAX + 1];
	char folded[LOG_LINE_MAX + 1]; /* text in small letters */
	size_t length;
	size_t indent;  /* of the text before its indent was taken off */
	size_t message; /* where in text the message begins; 0 when nothing stands before it */
	enum log_level level;
	bool json;       /* text was put together from an object's members */
	bool says_error; /* of an object: a member says that it tells of an error */
	bool transcript; /* an object that quotes what an agent read, ran or wrote */
};

/* Reads the line bytes[0..length), without its \n. */
void log_line_read(const char *bytes, size_t length, struct log_line *ret_line);

#endif
