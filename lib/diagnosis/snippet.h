/*
 * snippet: the key lines of a log's end: those that tell a person why the program failed.
 *
 * Give it the redacted tail (any bytes, up to 1 MiB). Every line (log_line.h) gets a weight from
 * the rules it matches (rule.h, lib/diagnosis/rules/), from its level and from its form; of two, 8
 * lines later are worth one point of weight, so the last of equals wins and a recovered panic of
 * long ago does not outweigh the error at the end. A mere complaint (ERROR, failed, …) counts only
 * in the last 200 lines. The heaviest line is the statement. The last line of a Python traceback
 * and the last "Caused by:" of a Java one are the statement, unless Python goes on after that
 * exception; what stands under a heading ("Error: {", "ApiException: (403)", a line that ends with
 * a colon) belongs to it. Frames of stack traces, quoted source lines and an agent's transcript
 * never win over the statement of what was wrong. What follows an exception's message is shown too,
 * 3 lines at most. A line that is too long is cut around what was found in it. Without any
 * statement the last three lines are taken.
 *
 * The detail (and with it the cause) is that of the statement's rule; where it has none, of the
 * other key lines.
 *
 * No heap, linear time, no state: safe in any thread.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_SNIPPET_H
#define LASTWORD_LIB_DIAGNOSIS_SNIPPET_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/diagnosis/rule_set.h"

#define SNIPPET_SIZE_MAX 512 /* bytes, the NUL not counted */

struct snippet {
	/* The payload_snippet: key lines in their order, separated by \n, no \n at the end;
	 * valid UTF-8 (what was not is U+FFFD), cut between characters; "" for an empty tail. */
	char text[SNIPPET_SIZE_MAX + 1];
	size_t length;
	/* The one statement of what was wrong, on one line, without its logger's prefix;
	 * classify() and fingerprint() go by it. */
	char statement[SNIPPET_SIZE_MAX + 1];
	size_t statement_length;
	size_t focus; /* where in the statement the rule that decided begins to match */
	/* The statement was found by its form; false: it is merely the last line. */
	bool found;
	uint8_t detail; /* number in rules_builtin.details; 0: none */
	unsigned rule;  /* that made the line the statement; RULE_NONE: its form or level did */
	unsigned detail_rule; /* that gave the detail; RULE_NONE: none did */
};

/* own (may be NULL): rules of one's own, beside the built-in ones. */
void snippet_pick(const struct own_rules *own, const char *tail, size_t length,
                  struct snippet *ret_snippet);

#endif
