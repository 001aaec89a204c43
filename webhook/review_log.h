/*
 * review_log: one line of the log for each review that was decided, bounded by the address that it
 * came from, so that nobody can fill the log or push others out of it.
 *
 * An address has ten lines a second for itself, and up to a hundred as long as all addresses
 * together have fewer than five hundred; of reviews that were not understood or failed verification
 * one a second. Addresses share 256 places by their hash, which bounds the memory. The next line
 * that is logged for an address says how many were not. Thread-safe.
 */
#ifndef LASTWORD_WEBHOOK_REVIEW_LOG_H
#define LASTWORD_WEBHOOK_REVIEW_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/log.h"
#include "webhook/admission.h"

#define REVIEW_LOG_PLACES 256

/* All zero at the start. */
struct review_log {
	struct log_limit own[REVIEW_LOG_PLACES];     /* what an address has for itself */
	struct log_limit each[REVIEW_LOG_PLACES];    /* what it may have beyond that */
	struct log_limit trouble[REVIEW_LOG_PLACES]; /* reviews that were not as they should be */
	struct log_limit all;                        /* what all may have beyond their own */
};

/* May a line about a review of that client be logged now (monotonic, nanoseconds)? *ret_dropped:
 * lines about the client's that were not since the last one. */
bool review_log_pass(struct review_log *log, const char *client, bool trouble, int64_t now,
                     uint64_t *ret_dropped);

/* Logs what came of a review, unless it concerned nobody or there is no room for the line. */
void review_log_write(struct review_log *log, const char *client,
                      const struct admission_response *response, int64_t now);

#endif
