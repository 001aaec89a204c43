/*
 * base64: RFC 4648 section 4, with padding, as Kubernetes writes bytes in JSON. Pure;
 * thread-safe.
 */
#ifndef LASTWORD_LIB_BASE_BASE64_H
#define LASTWORD_LIB_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;

void base64_encode(struct buffer *out, const void *bytes, size_t length);
/* Replaces what the buffer has from that offset on. */
void base64_encode_from(struct buffer *buffer, size_t start);

/* Strict: no spaces, complete groups, zero padding bits. On failure out may hold a part. */
bool base64_decode(struct buffer *out, const char *text, size_t length);

#endif
