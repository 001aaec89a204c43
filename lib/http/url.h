/*
 * url: text as a part of a URL. Pure; thread-safe.
 */
#ifndef LASTWORD_LIB_HTTP_URL_H
#define LASTWORD_LIB_HTTP_URL_H

struct buffer;

/* Appends text as one segment of a URL's path, or as one value of its query: every byte but the
 * unreserved characters of RFC 3986, section 2.3, becomes %XX. */
void url_escape(struct buffer *out, const char *text);

/* The same as a text of its own, which the caller frees; NULL: no memory, or over 64 KiB. */
char *url_escaped(const char *text);

#endif
