/*
 * json_write: writes JSON into a buffer, in one pass, without a tree.
 *
 * Needs no third-party library: it also runs inside the agent's pod. The caller calls begin/end,
 * key and value in the order of the text; commas are put here. A string's bytes are escaped as
 * RFC 8259 wants; what is not UTF-8 becomes U+FFFD, so the output is always valid. Failure is the
 * buffer's (see buffer.h): ask buffer_ok() once at the end. Nesting: at most 64 levels.
 *
 * Text for people: a writer with safe_text set also replaces unsafe characters (utf8_is_unsafe) by
 * U+FFFD. This is the one place where that is done to what a container printed.
 */
#ifndef LASTWORD_LIB_BASE_JSON_WRITE_H
#define LASTWORD_LIB_BASE_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

struct json_writer {
	struct buffer *out;   /* the caller's */
	uint64_t has_members; /* bit n: level n already has a member */
	unsigned depth;
	bool after_key;
	bool safe_text;
};

void json_writer_init(struct json_writer *writer, struct buffer *out);

void json_write_object_begin(struct json_writer *writer);
void json_write_object_end(struct json_writer *writer);
void json_write_array_begin(struct json_writer *writer);
void json_write_array_end(struct json_writer *writer);
void json_write_key(struct json_writer *writer, const char *key);

void json_write_string(struct json_writer *writer, const char *text);
void json_write_string_n(struct json_writer *writer, const char *text, size_t length);
void json_write_integer(struct json_writer *writer, int64_t value);
void json_write_unsigned(struct json_writer *writer, uint64_t value);
/* micro-units as a decimal fraction: 1500000 is 1.5. No floating point. */
void json_write_micros(struct json_writer *writer, int64_t micros);
void json_write_bool(struct json_writer *writer, bool value);
void json_write_null(struct json_writer *writer);
/* A value that is JSON already; the caller vouches for it. */
void json_write_raw(struct json_writer *writer, const char *json, size_t length);

/* key and value in one call; a NULL text writes nothing at all. */
void json_write_member(struct json_writer *writer, const char *key, const char *text);
void json_write_member_integer(struct json_writer *writer, const char *key, int64_t value);
void json_write_member_bool(struct json_writer *writer, const char *key, bool value);
/* Nanoseconds since 1970, as RFC 3339. None where it is not known: 0, as the kubelet says that
 * there was no start, or below. */
void json_write_member_time(struct json_writer *writer, const char *key, int64_t time);

/* Only the quoted string, no comma logic: for one-off uses. The second one replaces unsafe
 * characters. */
void json_escape(struct buffer *out, const char *text, size_t length);
void json_escape_safe(struct buffer *out, const char *text, size_t length);

#endif
