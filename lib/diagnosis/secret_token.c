/* Secrets that have a form of their own: tokens, credentials of HTTP, private keys, URLs. */
#include "lib/diagnosis/secret_scanner.h"

#include <string.h>
#include <strings.h>

#include "lib/base/ascii.h"

#define CUT_TOKEN_LEAST 8
#define WRAPPED_LEAST   ((size_t)10)
/* How far behind an AWS key its secret may stand, and how long that is. */
#define AWS_SECRET_NEAR   ((size_t)24)
#define AWS_SECRET_LENGTH ((size_t)40)

enum element_result { ELEMENT_FITS, ELEMENT_FAILS };

/* The end of the bytes of set at from that go on behind a line's end there: a token that was broken
 * over two lines. from: it does not go on. */
static size_t continued_end(struct secret_scanner *s, unsigned set, size_t from)
{
	size_t next = from;
	next += next < s->length && s->text[next] == '\\';
	next += next < s->length && s->text[next] == '\r';
	if (next >= s->length || s->text[next] != '\n' || next + 1 >= s->length)
		return from;
	size_t end = scanner_set_end(s, set, next + 1);
	return end > next + 1 ? end : from;
}

/* The same of a token that was long enough: only what is random beyond doubt goes on with it. */
static size_t wrapped_end(struct secret_scanner *s, unsigned set, size_t from)
{
	size_t end = continued_end(s, set, from);
	const char *line_end = end == from ? NULL : memchr(s->text + from, '\n', end - from);
	if (line_end == NULL)
		return from;
	size_t start = (size_t)(line_end - s->text) + 1;
	bool ends = end == s->length || strchr(" \t\r\n\"',;)", s->text[end]) != NULL;
	return ends && is_random(s, start, end, WRAPPED_LEAST) ? end : from;
}

/* Digits or capitals are there: no mere word, as in hf_transfer. */
static bool has_no_word(const struct secret_scanner *s, size_t from, size_t end)
{
	for (size_t i = from; i < end; i++)
		if (ascii_is_digit(s->text[i]) || ascii_is_upper(s->text[i]))
			return true;
	return false;
}

/* A set's element at *at; the last one of its form may be cut off by the text's end. */
static enum element_result match_set(struct secret_scanner *s, const unsigned char *element,
                                     bool last, size_t *at)
{
	unsigned set = element[0] & 0x7f;
	size_t least = element[1];
	size_t most = element[2];
	size_t end = scanner_set_end(s, set, *at);
	bool run = most == 0;
	size_t taken = end > *at ? end - *at : 0;
	if (run && last)
		while (taken > 0 && s->text[*at + taken - 1] == '.')
			taken--; /* a sentence may end right behind a token */
	if (!run && taken > most)
		taken = most;
	if (taken < least) {
		bool cut = last && *at + taken == s->length && taken >= CUT_TOKEN_LEAST &&
		           has_no_word(s, *at, *at + taken);
		size_t rest = last && !cut && taken >= CUT_TOKEN_LEAST
		                      ? continued_end(s, set, *at + taken)
		                      : 0;
		if (!cut && (rest == 0 || rest - *at < least))
			return ELEMENT_FAILS;
		taken = cut ? taken : rest - *at;
	}
	if (run && last)
		taken = wrapped_end(s, set, *at + taken) - *at;
	*at += taken;
	return ELEMENT_FITS;
}

/* Where the form that length bytes at form describe ends at text[at]; 0: it is not there. */
static size_t match_form(struct secret_scanner *s, const unsigned char *form, size_t length,
                         size_t at)
{
	bool bounded = false;
	for (size_t i = 0; i < length;) {
		if (form[i] < FORM_SET) {
			size_t count = form[i];
			s->work += count;
			if (count > s->length - at ||
			    memcmp(s->text + at, form + i + 1, count) != 0)
				return 0;
			at += count;
			i += 1 + count;
			bounded = false;
			continue;
		}
		if (match_set(s, form + i, i + 3 == length, &at) == ELEMENT_FAILS)
			return 0;
		bounded = form[i + 2] != 0;
		i += 3;
	}
	/* As many as it may have, and more: something else. */
	bool more = bounded && at < s->length && ascii_is_alnum(s->text[at]);
	return more ? 0 : at;
}

static bool at_line_start(const struct secret_scanner *s)
{
	return s->out == 0 || s->text[s->out - 1] == '\n';
}

/* The secret access key that stands right behind an AWS key. */
static bool take_aws_secret(struct secret_scanner *s)
{
	if (s->aws_key == 0 || s->out - (s->aws_key - 1) > AWS_SECRET_NEAR)
		return false;
	size_t end = s->in;
	while (end < s->length && end - s->in <= AWS_SECRET_LENGTH &&
	       (ascii_is_alnum(s->text[end]) || s->text[end] == '/' || s->text[end] == '+'))
		end++;
	if (end - s->in != AWS_SECRET_LENGTH || !is_random(s, s->in, end, AWS_SECRET_LENGTH))
		return false;
	scanner_replace(s, end, "aws-secret");
	return true;
}

bool take_token(struct secret_scanner *s)
{
	const struct secret_table *table = &secrets_builtin;
	unsigned char first = (unsigned char)s->text[s->in];
	if (first >= 0x80)
		return false;
	for (size_t row = table->token_index[first]; row < table->token_index[first + 1]; row++) {
		const struct secret_token *token = &table->tokens[table->token_rows[row]];
		const unsigned char *form = table->forms + token->form;
		size_t start = s->in;
		if (token->probe_at > 0 && (token->probe_at >= s->length - s->in ||
		                            s->text[s->in + token->probe_at] != token->probe))
			continue;
		if (token->context_length > 0) {
			if (!at_line_start(s))
				continue;
			start = match_form(s, form, token->context_length, s->in);
			if (start == 0)
				continue;
			form += token->context_length;
		}
		size_t end = match_form(s, form, token->form_length, start);
		if (end == 0)
			continue;
		scanner_copy(s, start - s->in);
		scanner_replace(s, end, table->names[token->name]);
		if (strcmp(table->names[token->name], "aws-key") == 0)
			s->aws_key = 1 + s->out;
		return true;
	}
	return take_aws_secret(s);
}

/* The end of the word at from, without the punctuation behind it. */
static size_t word_end(struct secret_scanner *s, size_t from)
{
	size_t end = from;
	while (end < s->length && !ascii_is_space(s->text[end]) &&
	       strchr("\"'`<>()[]{},;", s->text[end]) == NULL)
		end++;
	s->work += end - from;
	while (end > from && (s->text[end - 1] == '.' || s->text[end - 1] == ':'))
		end--;
	return end;
}

static size_t word_at(const struct secret_scanner *s, size_t at, const char *word)
{
	size_t length = strlen(word);
	return s->length - at > length && strncasecmp(s->text + at, word, length) == 0 ? length : 0;
}

/* "password hunter2Xyz", "the token is abc": only before a value that is random beyond doubt. */
static bool take_prose(struct secret_scanner *s)
{
	static const char *const words[] = {"password ", "passwd ", "passphrase ", "token ",
	                                    "secret ",   "key ",    "pw ",         "credentials "};
	size_t length = 0;
	char first = ascii_to_lower(s->text[s->in]);
	for (size_t i = 0; i < sizeof words / sizeof *words && length == 0; i++)
		length = words[i][0] == first ? word_at(s, s->in, words[i]) : 0;
	if (length == 0)
		return false;
	size_t from = s->in + length;
	from += word_at(s, from, "is ");
	from += word_at(s, from, "was ");
	from += word_at(s, from, "= ");
	char quote;
	bool escaped;
	from = scanner_unquote(s, from, &quote, &escaped);
	size_t end = word_end(s, from);
	bool mixed = false;
	for (size_t i = from; i < end; i++)
		mixed |= ascii_is_upper(s->text[i]);
	if (!mixed || !is_random(s, from, end, 12) || memchr(s->text + from, '/', end - from))
		return false;
	scanner_copy(s, from - s->in);
	scanner_replace(s, end, NULL);
	return true;
}

bool take_scheme(struct secret_scanner *s)
{
	size_t word = 0;
	if (ascii_to_lower(s->text[s->in]) == 'b') {
		word = word_at(s, s->in, "bearer ");
		word = word > 0 ? word : word_at(s, s->in, "basic ");
	}
	if (word == 0)
		return take_prose(s);
	size_t end = s->in + word;
	while (end < s->length && (ascii_is_alnum(s->text[end]) ||
	                           (s->text[end] != '\0' && strchr("_-.+/=~", s->text[end]))))
		end++;
	s->work += end - s->in;
	if (!looks_random(s, s->in + word, end))
		return false;
	scanner_copy(s, word);
	scanner_replace(s, end, NULL);
	return true;
}

/* Base64, line ends real or escaped, and headers such as "Proc-Type: 4,ENCRYPTED". */
static bool is_key_byte(char c)
{
	return ascii_is_alnum(c) || ascii_is_space(c) ||
	       (c != '\0' && strchr("_-.+/=~\\:,", c) != NULL);
}

bool take_key_block(struct secret_scanner *s)
{
	if (!scanner_text_at(s, s->in, "-----BEGIN "))
		return false;
	size_t label = s->in + 11;
	size_t i = label;
	while (i < s->length && i - label < 40 && (ascii_is_alnum(s->text[i]) || s->text[i] == ' '))
		i++;
	s->work += i - label;
	/* A label that the text's end cuts off may be a private key's. */
	if (i == s->length || i - label < 11 ||
	    (memcmp(s->text + i - 11, "PRIVATE KEY", 11) != 0 &&
	     memcmp(s->text + i - 9, "KEY BLOCK", 9) != 0))
		return false;
	while (i < s->length && s->text[i] == '-')
		i++;
	while (i < s->length && is_key_byte(s->text[i]) && !scanner_text_at(s, i, "-----END "))
		i++;
	s->work += i - s->in;
	if (i < s->length && scanner_text_at(s, i, "-----END ")) {
		i += 9;
		size_t end_label = i;
		while (i < s->length && i - end_label < 40 &&
		       (ascii_is_alnum(s->text[i]) || s->text[i] == ' '))
			i++;
		while (i < s->length && s->text[i] == '-')
			i++;
	}
	scanner_replace(s, i, "private-key");
	return true;
}

/* Oracle's "jdbc:oracle:thin:user/password@//host". */
static bool take_oracle(struct secret_scanner *s)
{
	static const char prefix[] = "jdbc:oracle:thin";
	size_t length = strlen(prefix);
	if (s->out < length || memcmp(s->text + s->out - length, prefix, length) != 0)
		return false;
	size_t slash = 0;
	size_t i = s->in + 1;
	for (; i < s->length && i - s->in < 256 && !ascii_is_space(s->text[i]); i++) {
		if (s->text[i] == '/' && slash == 0)
			slash = i;
		if (s->text[i] == '@')
			break;
	}
	s->work += i - s->in;
	bool ends = i >= s->length || s->text[i] == '@';
	if (slash == 0 || !ends || i == slash + 1 || is_placeholder(s, slash + 1))
		return false;
	scanner_copy(s, slash + 1 - s->in);
	scanner_replace(s, i, NULL);
	return true;
}

/* Oracle's "user/password@//host:1521/service", at its @: the password was copied already. */
bool take_easy_connect(struct secret_scanner *s)
{
	static const char mark[] = "[redacted]";
	if (!scanner_text_at(s, s->in, "@//"))
		return false;
	size_t from = s->out;
	while (from > 0 && s->out - from < VALUE_GLANCE && !ascii_is_space(s->text[from - 1]) &&
	       s->text[from - 1] != '/')
		from--;
	s->work += s->out - from;
	bool user = from >= 2 && s->text[from - 1] == '/' &&
	            (ascii_is_alnum(s->text[from - 2]) || s->text[from - 2] == '_');
	size_t room = s->out - from;
	if (!user || room == 0 || strchr("$*[{<", s->text[from]) != NULL)
		return false;
	size_t length = room < strlen(mark) ? 1 : strlen(mark);
	memcpy(s->text + from, length == 1 ? "*" : mark, length);
	s->out = from + length;
	s->redactions++;
	return true;
}

static bool is_port(const struct secret_scanner *s, size_t from, size_t end)
{
	size_t i = from;
	while (i < end && ascii_is_digit(s->text[i]))
		i++;
	return i == end && end - from <= 5;
}

/* "://user:password@host": the user stays; "://token@host": a long lone user does not. Where the
 * text ends before an @ could come, what may be a password goes. */
bool take_url(struct secret_scanner *s)
{
	if (!scanner_text_at(s, s->in, "://"))
		return take_oracle(s);
	size_t start = s->in + 3;
	size_t colon = 0;
	size_t at = 0;
	size_t i = start;
	for (; i < s->length && !ascii_is_space(s->text[i]) && strchr("/\"'>`", s->text[i]) == NULL;
	     i++) {
		if (s->text[i] == ':' && colon == 0)
			colon = i;
		else if (s->text[i] == '@')
			at = i;
	}
	s->work += i - s->in;
	if (at == 0 && i == s->length && colon != 0 &&
	    memchr(s->text + start, '[', colon - start) == NULL &&
	    (colon == start || !is_port(s, colon + 1, i)))
		at = i;
	if (at == 0 || (colon != 0 && colon > at))
		return false;
	if (colon == 0 && at - start < 20)
		return false;
	size_t from = colon == 0 ? start : colon + 1;
	scanner_copy(s, from - s->in);
	if (!is_placeholder(s, from) && from != at)
		scanner_replace(s, at, NULL);
	return true;
}
