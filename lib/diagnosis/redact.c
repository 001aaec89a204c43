#include "lib/diagnosis/redact.h"

#include <string.h>

#include "lib/base/ascii.h"
#include "lib/diagnosis/secret_scanner.h"

#define PASSES_MAX 4

/* Bytes that separate words though they are letters: \n in a string, %3D in a URL, colours. */
static size_t escape_length(const struct secret_scanner *s)
{
	const char *text = s->text + s->in;
	size_t left = s->length - s->in;
	if (text[0] == '\\' && left >= 2 && text[1] != '\0' && strchr("nrtbf", text[1]) != NULL)
		return 2;
	if (text[0] == '%' && left >= 3 && ascii_is_alnum(text[1]) && ascii_is_alnum(text[2]))
		return 3;
	size_t i = 2;
	if (text[0] == '\033' && left >= 3 && text[1] == '[') {
		while (i < left && i < 16 && (ascii_is_digit(text[i]) || text[i] == ';'))
			i++;
		return i < left ? i + 1 : i;
	}
	return 0;
}

/* A letter or digit, at the beginning of a word: it stands for what may begin with it. */
static bool take_word(struct secret_scanner *s)
{
	if (s->program != NULL && take_option(s))
		return true;
	return take_token(s) || take_scheme(s) || take_program(s);
}

static bool take_secret(struct secret_scanner *s, char c)
{
	switch (c) {
	case '=':
		return take_value(s);
	case ':':
		return take_url(s) || take_value(s);
	case '%':
		return (scanner_text_at(s, s->in, "%3D") || scanner_text_at(s, s->in, "%3d")) &&
		       take_value(s);
	case '>':
		return take_element(s);
	case '@':
		return take_easy_connect(s);
	case '-':
		return take_key_block(s) || (s->program != NULL && take_option(s)) ||
		       take_user_password(s) || take_flag(s);
	case '_':
		return s->program != NULL && take_option(s);
	default:
		return ascii_is_alnum(c) && s->boundary && take_word(s);
	}
}

/* Nothing begins with this byte; it ends a word. */
static bool is_plain(char c)
{
	return !ascii_is_alnum(c) && (c == ' ' || c == ',' || c == '.' || c == '/' || c == '"' ||
	                              c == '(' || c == ')' || c == '[' || c == ']');
}

/* How many bytes from in may be copied at once: the rest of a word, in which nothing begins, and
 * what is plain behind it. */
static size_t plain_length(const struct secret_scanner *s)
{
	size_t count = 1;
	if (s->patterns->count > 0)
		return 1;
	if (ascii_is_alnum(s->text[s->in]))
		while (s->in + count < s->length && ascii_is_alnum(s->text[s->in + count]))
			count++;
	while (s->in + count < s->length && is_plain(s->text[s->in + count]))
		count++;
	return count;
}

/* Goes over the text once; returns the new length. */
static size_t redact_once(const struct redact_patterns *patterns, bool cut_start, char *text,
                          size_t length, struct redact_report *report)
{
	static struct redact_patterns no_patterns; /* never written to; its zeros need no space */
	struct secret_scanner s = {.patterns = patterns != NULL ? patterns : &no_patterns,
	                           .text = text,
	                           .length = length,
	                           .boundary = true};
	if (cut_start)
		drop_cut_start(&s);
	while (s.in < s.length) {
		char c = s.text[s.in];
		if (c == '\n') {
			s.program = NULL;
			s.user_option = false;
		}
		s.work++;
		if ((s.patterns->count > 0 && take_pattern(&s)) || take_secret(&s, c))
			continue;
		size_t escape = escape_length(&s);
		size_t count = escape > 0 ? escape : plain_length(&s);
		s.work += count - 1;
		scanner_copy(&s, count);
		s.boundary |= escape > 0;
	}
	report->redactions += s.redactions;
	report->work += s.work;
	return s.out;
}

size_t redact(const struct redact_patterns *patterns, bool cut_start, char *text, size_t length,
              struct redact_report *ret_report)
{
	struct redact_report report = {0};
	size_t before;
	unsigned pass = 0;
	/* What was taken out may leave something beside it that looks like a secret now. */
	do {
		before = report.redactions;
		length = redact_once(patterns, cut_start && pass == 0, text, length, &report);
	} while (report.redactions > before && ++pass < PASSES_MAX);
	if (ret_report != NULL)
		*ret_report = report;
	return length;
}
