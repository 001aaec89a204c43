/*
 * error: the one error type.
 *
 * A function that can fail returns bool (false: failed) and takes a `struct error *` as its last
 * argument; on failure the message says what was being done, where, and what was expected. The
 * caller that adds knowledge wraps it ("reading config.yaml: line 3 …"); the outermost caller logs
 * it, once. Library code never logs. Outputs (`ret_…`) are untouched on failure.
 *
 * A `struct error` is plain memory owned by its caller, never freed. NULL is accepted everywhere
 * and means that nobody wants the message. Not to be shared between threads while in use.
 */
#ifndef LASTWORD_LIB_BASE_ERROR_H
#define LASTWORD_LIB_BASE_ERROR_H

#include <stdbool.h>

/* Long enough for two paths and a sentence; a longer message is cut, never overrun. */
#define ERROR_MESSAGE_SIZE 768

struct error {
	char message[ERROR_MESSAGE_SIZE];
};

/* Sets the message. Always returns false, so that `return error_set(error, …)` reads well. */
bool error_set(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "<formatted>: " in front of the message that is there. Always returns false. */
bool error_wrap(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* error_set() with ": <strerror(number)>" at the end. Always returns false. */
bool error_set_errno(struct error *error, int number, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

#endif
