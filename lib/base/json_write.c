#include "lib/base/json_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/decimal.h"
#include "lib/base/timestamp.h"
#include "lib/base/utf8.h"
#include "lib/base/word.h"

#define DEPTH_MAX 64

void json_writer_init(struct json_writer *writer, struct buffer *out)
{
	*writer = (struct json_writer){.out = out};
}

/* The comma before a value or key, unless it is the first of its level or follows its key. */
static void separate(struct json_writer *writer)
{
	if (writer->after_key) {
		writer->after_key = false;
		return;
	}
	uint64_t bit = UINT64_C(1) << writer->depth;
	if (writer->has_members & bit)
		buffer_append_char(writer->out, ',');
	writer->has_members |= bit;
}

static void begin(struct json_writer *writer, char bracket)
{
	separate(writer);
	buffer_append_char(writer->out, bracket);
	if (writer->depth + 1 >= DEPTH_MAX) {
		writer->out->failed = true;
		return;
	}
	writer->depth++;
	writer->has_members &= ~(UINT64_C(1) << writer->depth);
}

static void end(struct json_writer *writer, char bracket)
{
	buffer_append_char(writer->out, bracket);
	if (writer->depth > 0)
		writer->depth--;
}

void json_write_object_begin(struct json_writer *writer)
{
	begin(writer, '{');
}

void json_write_object_end(struct json_writer *writer)
{
	end(writer, '}');
}

void json_write_array_begin(struct json_writer *writer)
{
	begin(writer, '[');
}

void json_write_array_end(struct json_writer *writer)
{
	end(writer, ']');
}

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* Control characters need an escape. */
static void escape_ascii(struct buffer *out, unsigned char c)
{
	static const char short_escapes[] = {
	        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};

	if (c < sizeof short_escapes && short_escapes[c] != 0) {
		buffer_append_char(out, '\\');
		buffer_append_char(out, short_escapes[c]);
	} else if (c == 0x7f) {
		buffer_append_char(out, (char)c);
	} else {
		buffer_printf(out, "\\u%04x", (unsigned)c);
	}
}

/* How many bytes at the start of the word stand for themselves in any text: printable ASCII without
 * " and \. */
static inline size_t clean_bytes(uint64_t word)
{
	uint64_t unclean =
	        word_string_specials(word) | ((word + WORD_OF(1)) & WORD_OF(0x80)); /* DEL */
	return unclean == 0 ? WORD_SIZE : word_first_byte(unclean);
}

/* All of the text stands for itself. */
static inline bool is_clean(const char *text, size_t length)
{
	if (length < WORD_SIZE)
		return clean_bytes(word_load(text, length)) >= length;
	size_t last = length - WORD_SIZE; /* this word overlaps the one before */
	for (size_t i = 0; i < last; i += WORD_SIZE)
		if (clean_bytes(word_load_whole(text + i)) < WORD_SIZE)
			return false;
	return clean_bytes(word_load_whole(text + last)) == WORD_SIZE;
}

/* Appends the character at the start of text, which is not clean; returns its length. */
static size_t escape_one(struct buffer *out, const char *text, size_t length, bool safe)
{
	size_t sequence = utf8_sequence(text, length);
	if (sequence == 0 || (safe && utf8_is_unsafe(utf8_code_point(text, sequence))))
		buffer_append_text(out, REPLACEMENT);
	else if (sequence == 1)
		escape_ascii(out, (unsigned char)*text);
	else
		buffer_append(out, text, sequence);
	return sequence == 0 ? 1 : sequence;
}

/* Gathered in pieces, a word at a time: JSON in a string has a quote every few bytes. */
static void escape_in_pieces(struct buffer *out, const char *text, size_t length, bool safe)
{
	char piece[256];
	size_t used = 0;
	piece[used++] = '"';
	for (size_t i = 0; i < length;) {
		if (used + WORD_SIZE + 1 > sizeof piece) {
			buffer_append(out, piece, used);
			used = 0;
		}
		uint64_t word = word_load(text + i, length - i);
		size_t clean = clean_bytes(word);
		memcpy(piece + used, &word, WORD_SIZE);
		used += clean;
		i += clean;
		if (clean == WORD_SIZE || i == length)
			continue;
		if (text[i] == '"' || text[i] == '\\') {
			piece[used++] = '\\';
			piece[used++] = text[i++];
			continue;
		}
		buffer_append(out, piece, used);
		used = 0;
		i += escape_one(out, text + i, length - i, safe);
	}
	piece[used++] = '"';
	buffer_append(out, piece, used);
}

static void escape(struct buffer *out, const char *text, size_t length, bool safe)
{
	if (!is_clean(text, length)) {
		escape_in_pieces(out, text, length, safe);
		return;
	}
	char *start = buffer_extend(out, length + 2); /* nearly always: one step */
	if (start == NULL)
		return;
	start[0] = '"';
	memcpy(start + 1, text, length);
	start[length + 1] = '"';
}

void json_escape(struct buffer *out, const char *text, size_t length)
{
	escape(out, text, length, false);
}

void json_escape_safe(struct buffer *out, const char *text, size_t length)
{
	escape(out, text, length, true);
}

void json_write_key(struct json_writer *writer, const char *key)
{
	separate(writer);
	escape(writer->out, key, strlen(key), writer->safe_text);
	buffer_append_char(writer->out, ':');
	writer->after_key = true;
}

void json_write_string_n(struct json_writer *writer, const char *text, size_t length)
{
	separate(writer);
	escape(writer->out, text, length, writer->safe_text);
}

void json_write_string(struct json_writer *writer, const char *text)
{
	json_write_string_n(writer, text, strlen(text));
}

void json_write_raw(struct json_writer *writer, const char *json, size_t length)
{
	separate(writer);
	buffer_append(writer->out, json, length);
}

void json_write_integer(struct json_writer *writer, int64_t value)
{
	char text[DECIMAL_SIZE];
	separate(writer);
	buffer_append(writer->out, text, decimal_print_signed(value, text));
}

void json_write_unsigned(struct json_writer *writer, uint64_t value)
{
	char text[DECIMAL_SIZE];
	separate(writer);
	buffer_append(writer->out, text, decimal_print(value, text));
}

void json_write_micros(struct json_writer *writer, int64_t micros)
{
	separate(writer);
	uint64_t magnitude = micros < 0 ? 0 - (uint64_t)micros : (uint64_t)micros;
	char text[48];
	int length = snprintf(text, sizeof text, "%s%" PRIu64 ".%06" PRIu64, micros < 0 ? "-" : "",
	                      magnitude / 1000000, magnitude % 1000000);
	while (length > 0 && text[length - 1] == '0')
		length--;
	if (length > 0 && text[length - 1] == '.')
		length--;
	buffer_append(writer->out, text, (size_t)length);
}

void json_write_bool(struct json_writer *writer, bool value)
{
	separate(writer);
	buffer_append_text(writer->out, value ? "true" : "false");
}

void json_write_null(struct json_writer *writer)
{
	separate(writer);
	buffer_append_text(writer->out, "null");
}

void json_write_member(struct json_writer *writer, const char *key, const char *text)
{
	if (text == NULL)
		return;
	json_write_key(writer, key);
	json_write_string(writer, text);
}

void json_write_member_integer(struct json_writer *writer, const char *key, int64_t value)
{
	json_write_key(writer, key);
	json_write_integer(writer, value);
}

void json_write_member_time(struct json_writer *writer, const char *key, int64_t time)
{
	char text[TIMESTAMP_SIZE];
	if (time <= 0)
		return;
	timestamp_print(time, text);
	json_write_member(writer, key, text);
}

void json_write_member_bool(struct json_writer *writer, const char *key, bool value)
{
	json_write_key(writer, key);
	json_write_bool(writer, value);
}
