/*
 * snippet: the lines of a log's end that tell a person why.
 *
 * Give it the redacted tail (any bytes, up to 1 MiB). Colours and boxes are stripped, of a line
 * that was redrawn with CR the last drawing counts, of a JSON line the message and error fields
 * count (of a stack trace in them, what it says), frames of stack traces and quoted source lines
 * never win over the statement of what was wrong.
 *
 * Each line gets a weight from a table (panic, exception, FATAL, ERROR, …; snippet.c); of two, 8
 * lines later are worth one point of weight, so the last of equals wins and a recovered panic
 * of long ago does not outweigh the error at the end. A mere complaint (ERROR, failed, …) counts
 * only in the last 200 lines. The last line of a Python traceback and the last "Caused by:" of a
 * Java one are the statement, unless Python goes on after that exception; the line after a Rust
 * panic or a C++ terminate belongs to it, and so does the one after a statement that ends with a
 * colon. What follows an exception's message is shown too, 3 lines at most. Without any telling
 * line the last three lines are taken.
 *
 * No heap, linear time, no state: safe in any thread.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_SNIPPET_H
#define LASTWORD_LIB_DIAGNOSIS_SNIPPET_H

#include <stdbool.h>
#include <stddef.h>

#define SNIPPET_SIZE_MAX 512 /* bytes, the NUL not counted */

struct snippet {
	/* The payload_snippet: telling lines in their order, separated by \n, no \n at the end;
	 * valid UTF-8 (what was not is U+FFFD), cut between characters; "" for an empty tail. */
	char text[SNIPPET_SIZE_MAX + 1];
	size_t length;
	/* The one statement of what was wrong, on one line; classify() and fingerprint() go by it.
	 */
	char statement[SNIPPET_SIZE_MAX + 1];
	size_t statement_length;
	/* The statement was found by its form; false: it is merely the last line. */
	bool telling;
};

void snippet_pick(const char *tail, size_t length, struct snippet *ret_snippet);

#endif
