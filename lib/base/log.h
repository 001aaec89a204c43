/*
 * log: one JSON object a line on standard error: time, level, message, then the caller's fields.
 *
 * A line is built in a struct log_line and written with one write(2), so lines of several threads
 * never mix; a line longer than LOG_LINE_MAX ends with "truncated": true instead of its last
 * fields. Only programs log, and each fact once; library code returns errors.
 *
 * A log_limit bounds how often one place may log (a flood of bad requests must not become a flood
 * of lines): it lets LOG_LIMIT_BURST lines pass, then one a second; the next line that passes says
 * how many did not. Thread-safe.
 */
#ifndef LASTWORD_LIB_BASE_LOG_H
#define LASTWORD_LIB_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buffer.h"
#include "lib/base/error.h"
#include "lib/base/json_write.h"

#define LOG_LINE_MAX    16384
#define LOG_LIMIT_BURST 20

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

struct log_line {
	struct json_writer writer;
	struct buffer text;
	char storage[LOG_LINE_MAX];
	bool wanted;
};

/* Lines below this level are dropped; LOG_INFO at the start. */
void log_set_level(enum log_level level);
/* debug, info, warning, error; false for anything else. */
bool log_level_parse(const char *text, enum log_level *ret_level);

void log_begin(struct log_line *line, enum log_level level, const char *message);
void log_text(struct log_line *line, const char *key, const char *value); /* NULL: no field */
void log_integer(struct log_line *line, const char *key, int64_t value);
void log_json(struct log_line *line, const char *key, const char *json); /* a JSON value */
void log_end(struct log_line *line);

/* A whole line: keys and texts in pairs, up to a NULL key. */
void log_message(enum log_level level, const char *message, ...) __attribute__((sentinel));

/* Why a program cannot start. Returns the exit status that it ends with. */
int log_cannot_start(const struct error *error);

struct log_limit {
	_Atomic int64_t next; /* nanoseconds, monotonic: when the line after the burst is free */
	_Atomic uint64_t dropped;
};

/* May a line be logged now? *ret_dropped: lines that were not since the last one that was. */
bool log_limit_pass(struct log_limit *limit, uint64_t *ret_dropped);

/* The same at another rate, and at a time of the caller's (monotonic, nanoseconds). */
struct log_rate {
	unsigned each_second;
	unsigned burst;
};
bool log_limit_pass_at(struct log_limit *limit, const struct log_rate *rate, int64_t now,
                       uint64_t *ret_dropped);

#endif
