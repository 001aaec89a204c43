/*
 * http_client: one HTTP request at a time, over TLS that is always verified. The only home of
 * libcurl.
 *
 * A client keeps its connection between requests and serves one thread. Bounds: 2 s to connect,
 * 5 s for the whole, and the response buffer's limit; redirects are not followed, proxies from the
 * environment not used.
 */
#ifndef LASTWORD_LIB_HTTP_CLIENT_H
#define LASTWORD_LIB_HTTP_CLIENT_H

#include <stdbool.h>

#include "lib/error.h"

struct buffer;
struct http_client;

/* ca_file: PEM; the only authorities that are trusted. NULL when there is no memory. */
struct http_client *http_client_new(const char *ca_file);
void http_client_free(struct http_client *client);

/* GET; bearer is the token, or NULL. The body is appended to the buffer. False when there was no
 * answer or it did not fit; any status is an answer. */
bool http_client_get(struct http_client *client, const char *url, const char *bearer,
                     long *ret_status, struct buffer *body, struct error *error);

#endif
