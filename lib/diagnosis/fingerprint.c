#include "lib/diagnosis/fingerprint.h"

#include <stdbool.h>
#include <string.h>

#include "lib/base/buffer.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What holds the parts of a date, a time, an address or a UUID together. */
static bool is_joint(char c)
{
	return c != '\0' && strchr(":.-,/+_", c) != NULL;
}

static bool is_month_or_day(const char *text, size_t length)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDecMonTueWedThuFriSatSun";
	for (size_t i = 0; length == 3 && i + 3 < sizeof names; i += 3)
		if (memcmp(names + i, text, 3) == 0)
			return true;
	return false;
}

/*
 * A word that somebody or something counted or generated: it begins with a digit (15, 200ms, 7f3a),
 * is a hash of hex letters alone, or mixes letters and digits over 6 bytes and more with at least
 * two digits. How much of it stays: all, nothing, or the letters before its digits (step7, utf8).
 */
static size_t letters_that_stay(const char *text, size_t length)
{
	size_t digits = 0;
	size_t hex_letters = 0;
	size_t first_digit = length;
	bool letters_behind = false;
	for (size_t i = 0; i < length; i++) {
		if (is_digit(text[i])) {
			digits++;
			if (first_digit == length)
				first_digit = i;
		} else {
			hex_letters += (text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'f';
			letters_behind |= first_digit < length;
		}
	}
	if (digits == 0)
		return length >= 8 && hex_letters == length ? 0 : length;
	if (digits + hex_letters == length && length >= 6)
		return 0;
	if (letters_behind && length >= 6 && digits >= 2)
		return 0;
	return first_digit;
}

/* Length of a temporary path at text; 0: it is none. */
static size_t temporary_path(const char *text, size_t length)
{
	static const char *const starts[] = {"/tmp/", "/var/tmp/", "/dev/shm/", "/proc/"};
	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
		size_t end = strlen(starts[i]);
		if (length < end || memcmp(text, starts[i], end) != 0)
			continue;
		while (end < length && !is_space(text[end]) &&
		       strchr("'\"`:,;()", text[end]) == NULL)
			end++;
		return end;
	}
	return 0;
}

/* Writes #, in the place of a # and a joint if these are what is there. */
static void write_mark(struct buffer *out, size_t start)
{
	size_t n = out->length;
	if (n >= start + 2 && is_joint(out->data[n - 1]) && out->data[n - 2] == '#')
		buffer_truncate(out, n - 1);
	else if (n == start || out->data[n - 1] != '#')
		buffer_append_char(out, '#');
}

/* The letters that Kubernetes makes up names of, in which no words come up. */
#define NAME_LETTERS "bcdfghjklmnpqrstvwxz"

/* The 5 letters and digits at the end of a generated name: agent-x7k2p. */
static bool is_name_suffix(const char *text, size_t at, size_t word)
{
	if (at == 0 || text[at - 1] != '-' || word != 5)
		return false;
	for (size_t i = at; i < at + word; i++)
		if (strchr(NAME_LETTERS "2456789", text[i]) == NULL)
			return false;
	return true;
}

static bool is_before_digit(const char *text, size_t length, size_t at)
{
	while (at < length && (text[at] == ' ' || text[at] == ','))
		at++;
	return at < length && is_digit(text[at]);
}

void fingerprint_normalise(const char *text, size_t length, struct buffer *out)
{
	size_t start = out->length;
	for (size_t i = 0; i < length;) {
		size_t path = text[i] == '/' ? temporary_path(text + i, length - i) : 0;
		size_t word = 0;
		while (i + word < length && is_word(text[i + word]))
			word++;
		if (path > 0) {
			write_mark(out, start);
			i += path;
		} else if (word > 0) {
			size_t stays = letters_that_stay(text + i, word);
			if (is_month_or_day(text + i, word) && is_before_digit(text, length, i + 3))
				stays = 0;
			if (is_name_suffix(text, i, word))
				stays = 0;
			buffer_append(out, text + i, stays);
			if (stays < word)
				write_mark(out, start);
			i += word;
		} else if (is_space(text[i])) {
			if (out->length > start && out->data[out->length - 1] != ' ')
				buffer_append_char(out, ' ');
			i++;
		} else {
			buffer_append_char(out, text[i++]);
		}
	}
}

/* Generated ends: ReplicaSet hashes and pod suffixes (NAME_LETTERS and digits), times. */
static bool is_generated(const char *part, size_t length)
{
	size_t digits = 0;
	for (size_t i = 0; i < length; i++) {
		if (is_digit(part[i]))
			digits++;
		else if (strchr(NAME_LETTERS, part[i]) == NULL)
			return length >= 8 && digits >= 2; /* hex or a UUID's part */
	}
	return digits == length || ((length == 5 || length >= 8) && length <= 12) ||
	       (length > 12 && digits >= 2);
}

void fingerprint_family(const char *owner, struct buffer *out)
{
	size_t length = owner == NULL ? 0 : strlen(owner);
	for (;;) {
		const char *dash = length == 0 ? NULL : memrchr(owner, '-', length);
		if (dash == NULL || dash == owner)
			break;
		size_t part = length - (size_t)(dash - owner) - 1;
		if (part > 0 && !is_generated(dash + 1, part))
			break;
		length = (size_t)(dash - owner);
	}
	buffer_append(out, owner, length);
}

static uint64_t hash_text(uint64_t hash, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
	/* A byte that no UTF-8 text has keeps the fields apart. */
	return (hash ^ 0xFF) * UINT64_C(1099511628211);
}

void fingerprint(const char *owner, const char *container, const char *cause, const char *statement,
                 size_t statement_length, char ret_fingerprint[FINGERPRINT_SIZE])
{
	char storage[1024];
	struct buffer text;
	uint64_t hash = UINT64_C(14695981039346656037);
	buffer_init_fixed(&text, storage, sizeof storage);
	fingerprint_family(owner, &text);
	hash = hash_text(hash, buffer_text(&text), text.length);
	hash = hash_text(hash, container, container == NULL ? 0 : strlen(container));
	hash = hash_text(hash, cause, cause == NULL ? 0 : strlen(cause));
	buffer_clear(&text);
	if (statement_length >= sizeof storage)
		statement_length = sizeof storage - 1;
	fingerprint_normalise(statement, statement_length, &text);
	hash = hash_text(hash, buffer_text(&text), text.length);
	for (size_t i = 0; i < FINGERPRINT_SIZE - 1; i++)
		ret_fingerprint[i] = "0123456789abcdef"[hash >> (60 - 4 * i) & 15];
	ret_fingerprint[FINGERPRINT_SIZE - 1] = '\0';
}
