/*
 * url: percent-encoding (RFC 3986). Pure.
 */
#ifndef LASTWORD_LIB_BASE_URL_H
#define LASTWORD_LIB_BASE_URL_H

struct buffer;

/* Appends text for a URL's path or the value of a query: every byte that is neither unreserved nor
 * "/" becomes %XX. */
void url_escape(struct buffer *out, const char *text);

/* The same as a text of its own, which the caller frees; NULL when there is no memory, or it would
 * be longer than 64 KiB. */
char *url_escaped(const char *text);

#endif
