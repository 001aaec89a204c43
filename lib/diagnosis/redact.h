/*
 * redact: takes secrets out of a log before anybody else sees it.
 *
 * In place, without heap, over bytes (not necessarily UTF-8; no locale). The result is never longer
 * than the text was: a secret of 10 bytes or more becomes "[redacted:github-token]" or
 * "[redacted]", whichever fits into its place, a shorter one "***".
 *
 * What is known as a secret is in lib/diagnosis/rules/secrets.rules: tokens with a form of their
 * own (secret_token.c, which also knows private keys, credentials of HTTP and of URLs), the values
 * of keys (secret_value.c), options of commands (secret_option.c), and patterns of one's own
 * (redact_pattern.h). What stays: a placeholder ($TOKEN, ***), a complaint in the place of a value
 * (DB_PASSWORD: unbound variable), what is said of a file (/run/secrets/db_password: No such …),
 * and the value of a weak name in prose that does not look random.
 *
 * Redact first and cut afterwards: a secret is known by how it begins or by its key. Where the text
 * has lost its beginning (a ring that ran over, a log read from its end) say so with cut_start: the
 * rest of the cut line is dropped, and the rest of a private key (secret_cut.c). What cannot be
 * known is listed in docs/security.md. A token that the end of the text cuts off is known from 8
 * bytes after its prefix.
 *
 * Redacting twice changes nothing: after a pass that found something comes another one, four at
 * most.
 *
 * Linear: a scan ahead either consumes what it saw, ends before the next byte that could start one
 * of its kind, is remembered, or is bounded by a constant. redact_report.work counts the bytes
 * looked at; in each pass it stays below (64 + 80 per added pattern) times the length
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
