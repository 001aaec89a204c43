/*
 * redact_pattern: patterns of secrets of one's own, beside those of lib/diagnosis/rules/.
 *
 * A pattern is matched at every position, greedily, never backtracking:
 *   any byte        stands for itself, but for \ [ ] { } + * ? ( ) | ^ $ . which need a \ in front
 *   [a-z0-9_]       one byte of the class; [^…] one that is not in it and no line end;
 *                   inside, \ takes the next byte as it is, - between two bytes is a range
 *   [class]+        one or more of the class, as many as there are
 *   [class]{20}     at least 20 (1 to 4096), as many as there are
 * For example: mycorp_[A-Za-z0-9]{20}   or   session id: [^ ]+
 * It must want at least 4 bytes in all. Such a match becomes "[redacted:pattern]".
 *
 * Thread safety: no state but the arguments.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_REDACT_PATTERN_H
#define LASTWORD_LIB_DIAGNOSIS_REDACT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

#define REDACT_PATTERNS_MAX     16
#define REDACT_PATTERN_SIZE_MAX 128 /* bytes of a pattern's text */
#define REDACT_ELEMENTS_MAX     16  /* literal stretches and classes in one pattern */
#define REDACT_LITERALS_MAX     64  /* literal bytes in one pattern */

struct redact_element {
	uint32_t class[8];     /* the bytes of the class, a bit each; unused in a literal */
	unsigned short least;  /* of a class: how many bytes at least */
	unsigned char literal; /* length of the literal stretch; 0: a class */
	bool run;              /* as many as there are, else exactly one */
};

struct redact_pattern {
	struct redact_element elements[REDACT_ELEMENTS_MAX];
	unsigned element_count;
	char literals[REDACT_LITERALS_MAX]; /* of all elements, one after the other */
	unsigned literal_length;
};

/* Plain memory of the caller; all zero is "no patterns". */
struct redact_patterns {
	struct redact_pattern patterns[REDACT_PATTERNS_MAX];
	unsigned count;
};

/* The pattern could be added to an empty set. error says what is wrong and at which byte. */
bool redact_pattern_check(const char *pattern, struct error *error);

/* Adds a pattern; patterns is unchanged on failure. */
bool redact_patterns_add(struct redact_patterns *patterns, const char *pattern,
                         struct error *error);

#endif
