#include "lib/diagnosis/secret_scanner.h"

#include <string.h>
#include <strings.h>

#include "lib/base/ascii.h"

bool scanner_text_at(const struct secret_scanner *s, size_t at, const char *what)
{
	size_t length = strlen(what);
	return length <= s->length - at && memcmp(s->text + at, what, length) == 0;
}

void scanner_copy(struct secret_scanner *s, size_t count)
{
	if (count == 0)
		return;
	if (s->out != s->in)
		memmove(s->text + s->out, s->text + s->in, count);
	s->out += count;
	s->in += count;
	s->boundary = !ascii_is_alnum(s->text[s->out - 1]);
}

void scanner_replace(struct secret_scanner *s, size_t end, const char *kind)
{
	size_t room = end - s->in;
	char mark[48] = "[redacted]";
	size_t length = 10;
	if (kind != NULL && strlen(kind) + 11 <= room && strlen(kind) + 12 < sizeof mark) {
		mark[9] = ':';
		while (*kind != '\0')
			mark[length++] = *kind++;
		mark[length++] = ']';
	}
	if (length > room) {
		length = room < 3 ? room : 3;
		mark[0] = mark[1] = mark[2] = '*';
	}
	memcpy(s->text + s->out, mark, length);
	s->out += length;
	s->in = end;
	s->boundary = true;
	s->redactions++;
}

size_t scanner_set_end(struct secret_scanner *s, unsigned set, size_t from)
{
	struct run *run = &s->sets[set];
	if (from < run->start || from >= run->end) {
		const uint32_t *bits = secrets_builtin.sets[set];
		size_t end = from;
		while (end < s->length) {
			unsigned char byte = (unsigned char)s->text[end];
			if ((bits[byte / 32] >> (byte % 32) & 1) == 0)
				break;
			end++;
		}
		s->work += end - from + 1;
		*run = (struct run){from, end};
	}
	return run->end;
}

size_t scanner_unquote(const struct secret_scanner *s, size_t from, char *ret_quote,
                       bool *ret_escaped)
{
	size_t escapes = 0;
	while (escapes < ESCAPES_MAX && from + escapes < s->length &&
	       s->text[from + escapes] == '\\')
		escapes++;
	char quote = from + escapes < s->length ? s->text[from + escapes] : '\0';
	bool quoted = quote == '"' || (quote == '\'' && escapes == 0);
	*ret_quote = quoted ? quote : '\0';
	*ret_escaped = escapes > 0;
	return from + (quoted ? 1U + escapes : 0U);
}

size_t scanner_quoted_end(struct secret_scanner *s, size_t from, char quote, bool escaped)
{
	size_t i = from;
	while (i < s->length && s->text[i] != '\n') {
		if (s->text[i] == '\\' && i + 1 < s->length) {
			if (escaped && s->text[i + 1] == quote)
				break;
			i += escaped ? 1 : 2;
			continue;
		}
		if (s->text[i] == quote)
			break;
		i++;
	}
	i = i < s->length ? i : s->length;
	s->work += i - from;
	return i;
}

bool looks_random(const struct secret_scanner *s, size_t from, size_t end)
{
	bool digit = false;
	bool letter = false;
	size_t limit = end - from < VALUE_GLANCE ? end : from + VALUE_GLANCE;
	for (size_t i = from; i < limit; i++) {
		digit |= ascii_is_digit(s->text[i]);
		letter |= ascii_is_letter(s->text[i]);
	}
	return digit && letter && end - from >= 12;
}

bool is_random(const struct secret_scanner *s, size_t from, size_t end, size_t least)
{
	size_t kinds[3] = {0};
	size_t changes = 0;
	size_t hex = 0;
	int previous = -1;
	size_t limit = end - from < VALUE_GLANCE ? end : from + VALUE_GLANCE;
	for (size_t i = from; i < limit; i++) {
		char c = s->text[i];
		int kind = ascii_is_lower(c)   ? 0
		           : ascii_is_upper(c) ? 1
		           : ascii_is_digit(c) ? 2
		                               : 3;
		hex += ascii_is_hex(c) || c == '-';
		if (kind == 3 && strchr("_+/=.~:!@#$%^&*-", c) == NULL)
			return false;
		if (kind < 3)
			kinds[kind]++;
		changes += kind != previous;
		previous = kind;
	}
	size_t length = limit - from;
	bool digits = kinds[2] > 0;
	if (end - from < least || !digits || kinds[0] + kinds[1] == 0)
		return false;
	if (kinds[0] > 0 && kinds[1] > 0)
		return changes * 5 > length;
	return length >= 20 && (hex == length || changes * 3 > length);
}

/* A value ends at text[at]. */
static bool ends_value(const struct secret_scanner *s, size_t at)
{
	return at >= s->length || ascii_is_space(s->text[at]) ||
	       (s->text[at] != '\0' && strchr("\"'`&;,)]}>@/:\\", s->text[at]) != NULL);
}

/* The length of $NAME at value; 0 if it is not one. */
static size_t variable_length(const char *value, size_t left)
{
	size_t i = 1;
	while (i < left &&
	       (ascii_is_upper(value[i]) || value[i] == '_' || (i > 1 && ascii_is_digit(value[i]))))
		i++;
	return i > 1 ? i : 0;
}

bool is_placeholder(const struct secret_scanner *s, size_t from)
{
	size_t left = s->length - from < VALUE_GLANCE ? s->length - from : VALUE_GLANCE;
	const char *value = s->text + from;
	size_t i = 0;
	if (left == 0)
		return false;
	if (value[0] == '*') {
		while (i < left && value[i] == '*')
			i++;
		return ends_value(s, from + i);
	}
	if (left < 2)
		return false;
	if (value[0] == '{' || value[0] == '[' || (value[0] == '=' && value[1] == '='))
		return true;
	if (value[0] == '<') {
		const char *close = memchr(value, '>', left);
		return close != NULL && ends_value(s, from + (size_t)(close - value) + 1);
	}
	if (value[0] == '%')
		return ((value[1] == 's' || value[1] == 'v') && ends_value(s, from + 2)) ||
		       value[1] == '(';
	if (value[0] != '$')
		return false;
	if (value[1] == '{' || value[1] == '(')
		return true;
	i = variable_length(value, left);
	return i > 0 && ends_value(s, from + i);
}

bool is_harmless(const struct secret_scanner *s, size_t from, size_t end)
{
	static const char *const words[] = {
	        "null",     "none",    "nil",     "true",     "false",   "undefined", "empty",
	        "unset",    "missing", "yes",     "no",       "invalid", "incorrect", "wrong",
	        "required", "is",      "must",    "was",      "not",     "and",       "or",
	        "option",   "flag",    "expired", "rejected", "denied",  "failed",    "provided",
	        "str",      "string",  "string;",
	};
	size_t length = end - from;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (length == strlen(words[i]) &&
		    strncasecmp(s->text + from, words[i], length) == 0)
			return true;
	return length == 0;
}
