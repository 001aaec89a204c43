/*
 * fingerprint: similar failures have the same one.
 *
 * 64-bit FNV-1a, as 16 hex digits, of owner family, container, cause and the normalised statement
 * (snippet.h: the statement, not the whole snippet, whose other lines vary; normalise.h). The owner
 * family is the owner's name without its generated end: nightly-28412345 and nightly-28412346 are
 * one family.
 *
 * Stable for ever: a change of the rules changes labels of stored records (tests/data/diagnosis
 * pins it). Pure, no heap, linear.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_FINGERPRINT_H
#define LASTWORD_LIB_DIAGNOSIS_FINGERPRINT_H

#include <stddef.h>
#include <stdint.h>

struct buffer;

#define FINGERPRINT_SIZE 17 /* 16 hex digits and the NUL */

/* owner: "Kind/name", a name or ""; container: its name; cause: cause_name(). NULL counts as "". */
void fingerprint(const char *owner, const char *container, const char *cause, const char *statement,
                 size_t statement_length, char ret_fingerprint[FINGERPRINT_SIZE]);

/* Sixteen hex digits for these texts (NULL counts as empty) in this order. */
void fingerprint_of(const char *const *texts, size_t count, char ret_fingerprint[FINGERPRINT_SIZE]);

/* Appends the owner's name without its generated end. */
void fingerprint_family(const char *owner, struct buffer *out);

#endif
