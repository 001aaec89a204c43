/*
 * http_status: the status of a failed HTTP request in a line of a log, in any words:
 * "status code 503", "HTTP/1.1 401", "status=429", "Error 403: …", "failed (502)".
 *
 * Only 4xx and 5xx count, and only behind a word that says what the number is, since 500 may be a
 * number of rows and 404 a port. Behind words that stand before other numbers, too ("returned",
 * "error"), the number has to end its clause.
 *
 * Pure, no heap, linear in the line.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_HTTP_STATUS_H
#define LASTWORD_LIB_DIAGNOSIS_HTTP_STATUS_H

#include <stddef.h>

/*
 * The first such status in folded[0..length), which is in small letters; 0: there is none. *ret_at
 * is where its digits stand.
 */
unsigned http_status_find(const char *folded, size_t length, size_t *ret_at);

#endif
