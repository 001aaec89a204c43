#include "lib/diagnosis/normalise.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "lib/base/ascii.h"
#include "lib/base/buffer.h"

struct normaliser {
	const char *text;
	size_t length;
	size_t in;
	struct buffer *out;
	size_t start;      /* of the result in out */
	size_t word;       /* where the last word that was copied begins in text */
	size_t word_end;   /* and ends */
	bool keeps_number; /* a number was kept right before: others beside it stay, too */
};

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
		if (ascii_is_digit(text[i])) {
			digits++;
			if (first_digit == length)
				first_digit = i;
		} else {
			hex_letters += ascii_is_hex(text[i]);
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

/* Writes #, in the place of a # and a joint if these are what is there. */
static void write_mark(struct normaliser *n)
{
	struct buffer *out = n->out;
	size_t length = out->length;
	n->keeps_number = false;
	if (length >= n->start + 2 && is_joint(out->data[length - 1]) &&
	    out->data[length - 2] == '#')
		buffer_truncate(out, length - 1);
	else if (length == n->start || out->data[length - 1] != '#')
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

/* Behind the name of a month or day: "Jul 28", "Jul/2013" */
static bool is_before_digit(const char *text, size_t length, size_t at)
{
	while (at < length && strchr(" ,/-", text[at]) != NULL && text[at] != '\0')
		at++;
	return at < length && ascii_is_digit(text[at]);
}

static size_t count_digits(const struct normaliser *n, size_t at)
{
	size_t digits = 0;
	while (at + digits < n->length && ascii_is_digit(n->text[at + digits]))
		digits++;
	return digits;
}

/* The length of a number's unit at text, which depends on the number: " MiB" and "µs". */
static size_t unit_length(const char *text, size_t length)
{
	if (length >= 3 && (memcmp(text, "\xC2\xB5s", 3) == 0 || memcmp(text, "\xCE\xBCs", 3) == 0))
		return 3;
	if (length < 3 || text[0] != ' ' || strchr("KkMGT", text[1]) == NULL)
		return 0;
	size_t unit = text[2] == 'i' ? 3 : 2;
	if (unit >= length || text[unit] != 'B')
		return 0;
	return unit + 1 == length || !ascii_is_alnum(text[unit + 1]) ? unit + 1 : 0;
}

/* --- Numbers that say what failed --- */

/* The last word ends in one of these, in small letters and without separators. */
static bool is_code_word(const struct normaliser *n)
{
	static const char *const words[] = {"status", "code",     "errno",  "http",    "exit",
	                                    "error",  "sqlstate", "signal", "errcode", "number"};
	size_t length = n->word_end - n->word;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		size_t end = strlen(words[i]);
		if (length >= end && strncasecmp(n->text + n->word_end - end, words[i], end) == 0)
			return true;
	}
	return false;
}

static bool is_word_at_end(const struct normaliser *n, const char *word)
{
	size_t end = strlen(word);
	return n->word_end - n->word >= end &&
	       strncasecmp(n->text + n->word_end - end, word, end) == 0;
}

static bool is_http_status(const char *digits, size_t length)
{
	return length == 3 && (digits[0] == '4' || digits[0] == '5');
}

/* Only what sets a value off is between the last word and the number. */
static bool is_set_off(const struct normaliser *n)
{
	size_t gap = n->in - n->word_end;
	if (n->word_end == 0 || gap > 6)
		return false;
	for (size_t i = n->word_end; i < n->in; i++)
		if (strchr(" :=([\"'\\/-", n->text[i]) == NULL)
			return false;
	return true;
}

/* "status 503", "code: 'P1001'", "errno=111", "ERROR 1045", "ApiException: (403)" */
static bool follows_code_word(const struct normaliser *n, size_t digits)
{
	if (!is_set_off(n) || digits > 7)
		return false;
	bool status = is_http_status(n->text + n->in, digits);
	bool colon = n->text[n->word_end] == ':';
	if (is_word_at_end(n, "error"))
		return status || !colon;
	if (is_word_at_end(n, "response") || is_word_at_end(n, "returned") ||
	    is_word_at_end(n, "got"))
		return status;
	if (is_word_at_end(n, "exception"))
		return n->text[n->in - 1] == '(';
	return is_code_word(n);
}

/* HTTP/1.1 404, "503 Service Unavailable", "404 Client Error" */
static bool is_status_with_words(const struct normaliser *n, size_t digits)
{
	size_t behind = n->in + digits;
	return is_http_status(n->text + n->in, digits) && behind + 2 < n->length &&
	       n->text[behind] == ' ' && ascii_is_upper(n->text[behind + 1]) &&
	       ascii_is_letter(n->text[behind + 2]);
}

/* GLIBC_2.38, ORA-12541 */
static bool follows_capitals(const struct normaliser *n)
{
	size_t length = n->word_end - n->word;
	if (n->word_end + 1 != n->in || length < 2 || length > 10 ||
	    (n->text[n->word_end] != '_' && n->text[n->word_end] != '-'))
		return false;
	for (size_t i = n->word; i < n->word_end; i++)
		if (!ascii_is_upper(n->text[i]))
			return false;
	return true;
}

/* E0432, TS2322, P1001, AADSTS7000215: capitals and digits; but not klog's date, E1123 22:50. */
static bool is_capital_code(const struct normaliser *n, size_t word)
{
	size_t letters = 0;
	while (letters < word && ascii_is_upper(n->text[n->in + letters]))
		letters++;
	size_t digits = count_digits(n, n->in + letters);
	size_t behind = n->in + word;
	bool klog = letters == 1 && digits == 4 && is_before_digit(n->text, n->length, behind);
	return letters > 0 && letters <= 8 && digits >= 3 && digits <= 7 &&
	       letters + digits == word && !klog;
}

/* A code of digits and capitals after a code word: SQLSTATE 42P01, HY000. */
static bool is_short_code(const struct normaliser *n, size_t word)
{
	if (word != 5 || !is_set_off(n) || !is_code_word(n))
		return false;
	for (size_t i = 0; i < word; i++)
		if (!ascii_is_digit(n->text[n->in + i]) && !ascii_is_upper(n->text[n->in + i]))
			return false;
	return true;
}

static bool keeps_number(const struct normaliser *n, size_t word)
{
	size_t digits = count_digits(n, n->in);
	if (digits == word) {
		bool beside =
		        n->keeps_number && n->in > 0 && strchr(".([", n->text[n->in - 1]) != NULL;
		return follows_code_word(n, digits) || is_status_with_words(n, digits) ||
		       (digits < 6 && follows_capitals(n)) || beside;
	}
	return is_capital_code(n, word) || is_short_code(n, word);
}

static void take_word(struct normaliser *n, size_t word)
{
	const char *text = n->text + n->in;
	bool digit = ascii_is_digit(text[0]);
	if (keeps_number(n, word)) {
		buffer_append(n->out, text, word);
		n->keeps_number = true;
		n->in += word;
		return;
	}
	size_t stays = letters_that_stay(text, word);
	if (is_month_or_day(text, word) && is_before_digit(n->text, n->length, n->in + 3))
		stays = 0;
	if (is_name_suffix(n->text, n->in, word))
		stays = 0;
	buffer_append(n->out, text, stays);
	if (stays < word)
		write_mark(n);
	size_t unit = 0;
	if (digit && stays < word)
		unit = unit_length(text + word, n->length - n->in - word);
	if (!digit && stays == word) {
		n->word = n->in;
		n->word_end = n->in + word;
		n->keeps_number = false;
	}
	n->in += word + unit;
}

void normalise(const char *text, size_t length, struct buffer *out)
{
	struct normaliser n = {.text = text, .length = length, .out = out, .start = out->length};
	while (n.in < length) {
		size_t shape = generated_shape(text + n.in, length - n.in, n.in);
		size_t word = 0;
		while (shape == 0 && n.in + word < length && ascii_is_alnum(text[n.in + word]))
			word++;
		if (shape > 0) {
			write_mark(&n);
			n.in += shape;
		} else if (word > 0) {
			take_word(&n, word);
		} else if (ascii_is_space(text[n.in])) {
			if (out->length > n.start && out->data[out->length - 1] != ' ')
				buffer_append_char(out, ' ');
			n.in++;
		} else {
			buffer_append_char(out, text[n.in++]);
		}
	}
}
