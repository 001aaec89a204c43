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

#include "lib/diagnosis/redact_pattern.h"

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
