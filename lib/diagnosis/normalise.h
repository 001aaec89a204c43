/*
 * normalise: a text without what differs from one run to the next, for comparing failures.
 *
 * # stands for what somebody counted or generated, known by its shape first: UUIDs, ULIDs, IPv4 and
 * IPv6 and MAC addresses, dates and times, hashes and other hex, memory addresses, temporary paths,
 * random ids of letters and digits (nanoids, KSUIDs, request ids), generated ends of names
 * (agent-7d9c5b8f6d-x7k2p); then numbers with their units. Numbers that say what failed stay:
 * after status, code, errno, HTTP, exit, SQLSTATE and the like, HTTP statuses before their words,
 * codes such as E0432, TS2322, P1001, ORA-12541, versions such as GLIBC_2.38. White space becomes
 * one space.
 *
 * Pure, no heap, linear: a shape is looked for where a word begins, and is bounded or consumed.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_NORMALISE_H
#define LASTWORD_LIB_DIAGNOSIS_NORMALISE_H

#include <stddef.h>

struct buffer;

/* Appends the normalised text; it is never longer than the text. */
void normalise(const char *text, size_t length, struct buffer *out);

/* The length of what at text was generated and is known by its shape alone; 0: nothing is. at is
 * where in a longer text it stands: text[-1] may be looked at if at > 0. */
size_t generated_shape(const char *text, size_t length, size_t at);

#endif
