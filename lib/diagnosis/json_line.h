/*
 * json_line: the message of a log line that is a JSON object, by scanning its text for members with
 * well-known names, at any depth. No tree is built; what is cut off or no JSON is read as far as it
 * goes. Pure, no heap, linear.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_JSON_LINE_H
#define LASTWORD_LIB_DIAGNOSIS_JSON_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/diagnosis/log_level.h"

struct json_line {
	enum log_level level;
	bool says_error; /* "type":"error", "is_error":true, or a member with an error */
	bool transcript; /* "type":"assistant" and the like: quotes what an agent read or wrote */
};

/*
 * Writes message and error, joined with ": ", to out: of each the first member there is; of a stack
 * trace, its first line and the one that says why. Returns the length; 0: there is neither.
 */
size_t json_line_read(const char *text, size_t length, char *out, size_t size,
                      struct json_line *ret_line);

#endif
