/*
 * redact: takes secrets out of a log before anybody else sees it.
 *
 * In place, without heap, in one pass over bytes (not necessarily UTF-8; no locale). The result is
 * never longer than the text was: a secret of 10 bytes or more becomes "[redacted:github-token]" or
 * "[redacted]", whichever fits into its place, a shorter one "***".
 *
 * Known: keys and tokens with a prefix of their own (AWS, GCP, GitHub, GitLab, Slack, npm, PyPI,
 * OpenAI, Anthropic, Stripe and others: the table in redact.c), JWTs, Bearer and Basic credentials,
 * Authorization and Cookie headers, user:password@ in URLs, private key blocks (also when the end,
 * or with cut_start the beginning, is missing), and the values of keys that end in words such as
 * password, secret, token, api_key in shell, JSON, YAML, logfmt, connection and query strings,
 * percent-encoded ones too, and behind such flags (--password x, '--password', 'x'),
 * and the "value" that goes with such a "name".
 * A weak word (token, secret, …) in prose counts only before a value that looks random. A complaint
 * in the place of a value (DB_PASSWORD: unbound variable) stays, and so does what is said of a file
 * (/run/secrets/db_password: No such file or directory).
 *
 * Redact first and cut afterwards: a secret is known by how it begins or by its key. Where the text
 * has lost its beginning (a ring that ran over, a log read from its end) say so with cut_start:
 * the rest of a cut first line (up to 1024 bytes), or else of its first word, is dropped, and so is
 * the rest of a private key. So the second half of a token, password, header or URL does not leak.
 * What cannot be known: a value of several words, or of several lines that are no key block, in a
 * line longer than 1024 bytes, whose key was cut off; and a secret that has neither form nor key.
 * A token cut by the end of the text is known from 8 bytes after its prefix.
 *
 * Linear: a scan ahead either consumes what it saw, ends before the next byte that could start one
 * of its kind, is remembered, or is bounded by a constant. redact_report.work counts the bytes
 * looked at; it stays below (64 + 80 per added pattern) times the length
 * (tests/unit/test_redact.c).
 *
 * Thread safety: no state but the arguments.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_REDACT_H
#define LASTWORD_LIB_DIAGNOSIS_REDACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

/*
 * Added patterns. A pattern is matched at every position, greedily, never backtracking:
 *   any byte        stands for itself, but for \ [ ] { } + * ? ( ) | ^ $ . which need a \ in front
 *   [a-z0-9_]       one byte of the class; [^…] one that is not in it and no line end;
 *                   inside, \ takes the next byte as it is, - between two bytes is a range
 *   [class]+        one or more of the class, as many as there are
 *   [class]{20}     at least 20 (1 to 4096), as many as there are
 * For example: mycorp_[A-Za-z0-9]{20}   or   session id: [^ ]+
 * It must want at least 4 bytes in all. Such a match becomes "[redacted:pattern]".
 */
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

struct redact_report {
	size_t redactions; /* secrets replaced; what cut_start dropped is not counted */
	uint64_t work;     /* bytes looked at */
};

/*
 * Redacts text[0..length) in place and returns the new length, never more than length. No NUL is
 * written. patterns may be NULL; ret_report may be NULL.
 */
size_t redact(const struct redact_patterns *patterns, bool cut_start, char *text, size_t length,
              struct redact_report *ret_report);

#endif
