/* Secrets on command lines: behind long flags that name them, and where well-known programs take
 * them. */
#include "lib/diagnosis/secret_scanner.h"

#include <string.h>

#include "lib/base/ascii.h"

/* --- Long flags --- */

/* What a usage text calls a value: "--password PASSWORD", "--api-key string". */
static bool is_metavariable(const struct secret_scanner *s, size_t from, size_t end)
{
	size_t i = from;
	while (i < end && (ascii_is_upper(s->text[i]) || s->text[i] == '_'))
		i++;
	return i == end || (end - from == 6 && scanner_text_at(s, from, "string"));
}

/* The end of an unquoted word. */
static size_t word_end(struct secret_scanner *s, size_t from)
{
	size_t i = from;
	while (i < s->length && !ascii_is_space(s->text[i]) && s->text[i] != '"' &&
	       s->text[i] != '\'' && s->text[i] != '`')
		i++;
	s->work += i - from;
	while (i > from && strchr(")]},.;", s->text[i - 1]) != NULL && s->text[i - 1] != '\0')
		i--;
	return i;
}

/* Where the word behind an option begins, whose own end is at end: behind a space, or behind
 * ', ' where both are quoted; *ret_quote is its quote. 0: none follows. */
static size_t next_word(const struct secret_scanner *s, size_t end, char *ret_quote,
                        bool *ret_escaped)
{
	size_t from = end;
	if (from < s->length && (s->text[from] == '\'' || s->text[from] == '"') &&
	    from + 1 < s->length && s->text[from + 1] == ',')
		from += 2;
	size_t spaces = from;
	while (spaces < s->length && spaces - from < 16 && s->text[spaces] == ' ')
		spaces++;
	if (spaces == from || spaces >= s->length)
		return 0;
	return scanner_unquote(s, spaces, ret_quote, ret_escaped);
}

bool take_flag(struct secret_scanner *s)
{
	if (!s->boundary || s->length - s->in < 4)
		return false;
	size_t start = s->in + 1 + (s->text[s->in + 1] == '-');
	size_t end = start;
	bool inside = s->out > 0 && (s->text[s->out - 1] == '-' || s->text[s->out - 1] == '_');
	if (inside || !ascii_is_letter(s->text[start]))
		return false;
	while (end < s->length && end - start < KEY_MAX &&
	       (ascii_is_alnum(s->text[end]) || s->text[end] == '-' || s->text[end] == '_'))
		end++;
	s->work += end - s->in;
	if (end - start < 2)
		return false;
	struct key key = {0};
	key_look_up(s, start, end, &key);
	char quote;
	bool escaped;
	if (key.strength == KEY_NONE || key.strength >= KEY_LINE)
		return false;
	size_t from = next_word(s, end, &quote, &escaped);
	if (from == 0 || from >= s->length || s->text[from] == '-' || is_placeholder(s, from))
		return false;
	end = quote != '\0' ? scanner_quoted_end(s, from, quote, escaped) : word_end(s, from);
	if (is_harmless(s, from, end) || is_metavariable(s, from, end) ||
	    (key.strength != KEY_STRONG && !looks_random(s, from, end)))
		return false;
	scanner_copy(s, from - s->in);
	scanner_replace(s, end, NULL);
	return true;
}

/* --- Options of programs --- */

/* The secret in a word of "user:secret", "user/secret@x" or "user%secret". */
static bool find_half(const struct secret_scanner *s, enum option_how how, size_t *from,
                      size_t *end)
{
	char separator = how == OPTION_SLASH ? '/' : how == OPTION_PERCENT ? '%' : ':';
	const char *at = memchr(s->text + *from, separator, *end - *from);
	if (at == NULL || at == s->text + *from)
		return false;
	*from = (size_t)(at - s->text) + 1;
	const char *host = how == OPTION_SLASH ? memchr(at, '@', *end - *from) : NULL;
	if (host != NULL)
		*end = (size_t)(host - s->text);
	return true;
}

/* The word that is so many words behind from, where a word may begin. */
static size_t skip_words(struct secret_scanner *s, size_t from, unsigned words, char *ret_quote,
                         bool *ret_escaped)
{
	while (words-- > 0 && from != 0)
		from = next_word(s, word_end(s, from), ret_quote, ret_escaped);
	return from;
}

/* Where the option's value begins; end is where the option itself ends. 0: there is none. */
static size_t option_value(struct secret_scanner *s, enum option_how how, size_t end,
                           char *ret_quote, bool *ret_escaped)
{
	bool separate = end < s->length && strchr(" '\"=", s->text[end]) != NULL;
	/* The quote of the value (-p'x'), and not of the option ('-p', 'x'). */
	if (separate && (s->text[end] == '\'' || s->text[end] == '"') && end + 1 < s->length &&
	    s->text[end + 1] != ',' && !ascii_is_space(s->text[end + 1]))
		separate = false;
	if (how == OPTION_ATTACHED || (!separate && (how == OPTION_BOTH || how == OPTION_PAIR)))
		return separate && s->text[end] != '\'' && s->text[end] != '"'
		               ? 0
		               : scanner_unquote(s, end, ret_quote, ret_escaped);
	if (end < s->length && s->text[end] == '=')
		return scanner_unquote(s, end + 1, ret_quote, ret_escaped);
	size_t from = next_word(s, end, ret_quote, ret_escaped);
	if (how == OPTION_THIRD || how == OPTION_FOURTH)
		from = skip_words(s, from, how == OPTION_THIRD ? 2 : 3, ret_quote, ret_escaped);
	return from;
}

/* Takes the value of an option that ends at end. */
static bool take_option_value(struct secret_scanner *s, enum option_how how, size_t end)
{
	char quote = '\0';
	bool escaped = false;
	size_t from = option_value(s, how, end, &quote, &escaped);
	if (from == 0 || from >= s->length || s->text[from] == '-')
		return false;
	size_t last =
	        quote != '\0' ? scanner_quoted_end(s, from, quote, escaped) : word_end(s, from);
	if (how == OPTION_PASS) {
		if (!scanner_text_at(s, from, "pass:"))
			return false;
		from += strlen("pass:");
	}
	if ((how == OPTION_PAIR || how == OPTION_SLASH || how == OPTION_PERCENT) &&
	    !find_half(s, how, &from, &last))
		return false;
	if (last <= from || is_placeholder(s, from) || is_harmless(s, from, last) ||
	    is_metavariable(s, from, last))
		return false;
	scanner_copy(s, from - s->in);
	scanner_replace(s, last, NULL);
	return true;
}

/* A command's name may begin here: at the start of a line, or behind one of these. */
static bool may_begin_command(const struct secret_scanner *s)
{
	return s->out == 0 || strchr(" \n\t/\"'|(`;&=", s->text[s->out - 1]) != NULL;
}

bool take_program(struct secret_scanner *s)
{
	const struct secret_table *table = &secrets_builtin;
	unsigned char first = (unsigned char)s->text[s->in];
	size_t last = table->program_index[first + 1];
	if (table->program_index[first] == last || !may_begin_command(s))
		return false;
	const struct secret_program *found = NULL;
	for (size_t i = table->program_index[first]; i < last; i++) {
		const struct secret_program *program = &table->programs[i];
		size_t end = s->in + program->length;
		s->work += 1;
		if (end >= s->length || strchr(" '\"", s->text[end]) == NULL ||
		    memcmp(s->text + s->in, table->texts + program->text, program->length) != 0)
			continue;
		if (found == NULL || program->length > found->length)
			found = program;
	}
	if (found == NULL)
		return false;
	s->program = found;
	for (size_t i = found->first_option; i < found->first_option + found->option_count; i++) {
		const struct secret_option *option = &table->options[i];
		if (option->length == 0 &&
		    take_option_value(s, (enum option_how)option->how, s->in + found->length))
			return true;
	}
	return false;
}

bool take_option(struct secret_scanner *s)
{
	const struct secret_table *table = &secrets_builtin;
	const struct secret_program *program = s->program;
	char before = s->out > 0 ? s->text[s->out - 1] : '\0';
	if (program == NULL || before == '\0' || strchr(" '\":/", before) == NULL)
		return false;
	for (size_t i = program->first_option; i < program->first_option + program->option_count;
	     i++) {
		const struct secret_option *option = &table->options[i];
		size_t end = s->in + option->length;
		s->work += 1;
		if (option->length == 0 || end >= s->length ||
		    memcmp(s->text + s->in, table->texts + option->text, option->length) != 0)
			continue;
		bool attached = option->how == OPTION_ATTACHED || option->how == OPTION_BOTH ||
		                option->how == OPTION_PAIR;
		if (!attached && strchr(" '\"=", s->text[end]) == NULL)
			continue;
		if (take_option_value(s, (enum option_how)option->how, end))
			return true;
	}
	return false;
}

/* A port, a range of ports or a path is no password: "-u 1000 -p 8080:80". */
static bool is_password_like(const struct secret_scanner *s, size_t from, size_t end)
{
	bool digit = false;
	bool letter = false;
	for (size_t i = from; i < end; i++) {
		digit |= ascii_is_digit(s->text[i]);
		letter |= ascii_is_letter(s->text[i]);
		if (s->text[i] == '/' || s->text[i] == ':')
			return false;
	}
	return digit && letter && end - from >= 8;
}

bool take_user_password(struct secret_scanner *s)
{
	char before = s->out > 0 ? s->text[s->out - 1] : '\n';
	char quote;
	bool escaped;
	if (before != ' ' && before != '\'' && before != '"')
		return false;
	s->user_option |= scanner_text_at(s, s->in, "-u ") || scanner_text_at(s, s->in, "-U ");
	if (!s->user_option ||
	    !(scanner_text_at(s, s->in, "-p ") || scanner_text_at(s, s->in, "-P ")))
		return false;
	size_t from = next_word(s, s->in + 2, &quote, &escaped);
	if (from == 0 || from >= s->length || is_placeholder(s, from))
		return false;
	size_t end =
	        quote != '\0' ? scanner_quoted_end(s, from, quote, escaped) : word_end(s, from);
	if (!is_password_like(s, from, end))
		return false;
	scanner_copy(s, from - s->in);
	scanner_replace(s, end, NULL);
	return true;
}
