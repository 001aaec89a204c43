/* Secrets that are the values of keys: in shells, JSON, YAML, INI, logfmt, URLs, XML, headers. */
#include "lib/diagnosis/secret_scanner.h"

#include <string.h>
#include <strings.h>

#include "lib/base/ascii.h"

/* How long an XML element's text may be. */
#define ELEMENT_MAX ((size_t)512)
/* How much of a value may be on its second line. */
#define WRAPPED_MAX ((size_t)256)

/* --- Names --- */

/* A name, reduced to small letters and digits, and where its last word begins. */
struct name {
	char text[KEY_MAX + 1];
	size_t length;
	size_t last_word;
};

static void read_name(const struct secret_scanner *s, size_t from, size_t end, struct name *name)
{
	name->length = name->last_word = 0;
	for (size_t i = from; i < end && name->length < KEY_MAX; i++) {
		char c = s->text[i];
		if (!ascii_is_alnum(c)) {
			name->last_word = name->length;
			continue;
		}
		if (i > from && ascii_is_upper(c) && ascii_is_lower(s->text[i - 1]))
			name->last_word = name->length;
		name->text[name->length++] = ascii_to_lower(c);
	}
	name->text[name->length] = '\0';
}

static bool key_fits(const struct secret_key *row, const struct name *name, bool query)
{
	const char *text = secrets_builtin.texts + row->text;
	if (name->length < row->length ||
	    memcmp(name->text + name->length - row->length, text, row->length) != 0)
		return false;
	if (row->where == KEY_SUFFIX)
		return true;
	bool is_last_word = name->last_word + row->length == name->length;
	if (row->where == KEY_WORD || row->where == KEY_PART)
		return is_last_word && (row->where == KEY_WORD || name->last_word > 0);
	return name->length == row->length && (row->where == KEY_WHOLE || query);
}

static void look_up(const struct name *name, struct key *key)
{
	const struct secret_table *table = &secrets_builtin;
	char last = name->length > 0 ? name->text[name->length - 1] : ' ';
	if (!ascii_is_lower(last))
		return;
	size_t end = table->key_index[last - 'a' + 1];
	for (size_t i = table->key_index[last - 'a']; i < end; i++)
		if (table->keys[i].strength > key->strength &&
		    key_fits(&table->keys[i], name, key->query))
			key->strength = (enum key_strength)table->keys[i].strength;
	key->is_pwd = strcmp(name->text, "pwd") == 0 || strcmp(name->text, "oldpwd") == 0;
}

void key_look_up(const struct secret_scanner *s, size_t from, size_t end, struct key *key)
{
	struct name name;
	read_name(s, from, end, &name);
	look_up(&name, key);
}

static bool is_name_byte(char c)
{
	return ascii_is_alnum(c) || c == '_' || c == '-' || c == '.';
}

/* The key before the separator, out of what was written already. */
static void find_key(struct secret_scanner *s, struct key *key)
{
	size_t end = s->out;
	while (end > 0 && s->out - end < 4 && s->text[end - 1] == ' ')
		end--;
	if (end > 0 && (s->text[end - 1] == '"' || s->text[end - 1] == '\'')) {
		key->quoted = true;
		end--;
		for (size_t i = 0; i < ESCAPES_MAX && end > 0 && s->text[end - 1] == '\\'; i++)
			end--;
	}
	size_t at = end;
	while (at > 0 && end - at < KEY_MAX && is_name_byte(s->text[at - 1]))
		at--;
	char before = at > 0 ? s->text[at - 1] : '\n';
	key->path = before == '/';
	key->query = before == '?' || before == '&';
	size_t indent = at;
	while (indent > 0 && at - indent < KEY_MAX &&
	       (s->text[indent - 1] == ' ' || s->text[indent - 1] == '\t'))
		indent--;
	key->line_start = indent == 0 || s->text[indent - 1] == '\n';
	s->work += s->out - indent + 1;
	if (key->path && scanner_text_at(s, s->in, ": "))
		return;
	struct name name;
	read_name(s, at, end, &name);
	look_up(&name, key);
	key->is_name = strcmp(name.text, "name") == 0 || strcmp(name.text, "key") == 0;
	key->is_value = strcmp(name.text, "value") == 0;
}

/* --- Values --- */

/* Behind what is wrapped around the value at from: Some("x"), SecretStr('x'), ["x"], key:[x]. */
static size_t unwrap(const struct secret_scanner *s, size_t from)
{
	size_t i = from;
	while (i < s->length && i - from < 16 &&
	       (ascii_is_alnum(s->text[i]) || s->text[i] == '_' || s->text[i] == ':'))
		i++;
	if (i + 1 >= s->length)
		return from;
	bool quoted = s->text[i + 1] == '"' || s->text[i + 1] == '\'' || s->text[i + 1] == '\\';
	if (s->text[i] == '(')
		return quoted && i > from ? i + 1 : from;
	bool of_go = from == s->in + 1 && s->text[s->in] == ':' &&
	             !scanner_text_at(s, from, "[redacted");
	return i == from && s->text[i] == '[' && (quoted || of_go) ? i + 1 : from;
}

/* Where the value begins: behind the separator (also :=, =>, ==, %3D), spaces, and its quote. */
static size_t value_start(const struct secret_scanner *s, char *ret_quote, bool *ret_escaped)
{
	size_t from = s->in + (s->text[s->in] == '%' ? 3 : 1);
	if (from < s->length && s->text[from] == (s->text[s->in] == ':' ? '=' : '>'))
		from++;
	while (from < s->length && from - s->in < 16 &&
	       (s->text[from] == ' ' || s->text[from] == '\t'))
		from++;
	return scanner_unquote(s, unwrap(s, from), ret_quote, ret_escaped);
}

/* The end of an unquoted value; encoded: in a URL's parameter that is percent-encoded itself. */
static size_t bare_end(struct secret_scanner *s, size_t from, bool whole_line, bool encoded)
{
	size_t i = from;
	for (; i < s->length && s->text[i] != '\n' && s->text[i] != '\r'; i++) {
		char c = s->text[i];
		if (!whole_line && (ascii_is_space(c) || c == '&' || c == ';' ||
		                    (i > from && (c == '<' || c == '>'))))
			break;
		if (encoded && c == '%' && scanner_text_at(s, i, "%26"))
			break;
		if (c == '"' || c == '\'' ||
		    (c == '\\' && i + 1 < s->length && strchr("nrt\"", s->text[i + 1]) != NULL))
			break;
	}
	s->work += i - from;
	while (i > from && strchr(")]},.", s->text[i - 1]) != NULL && s->text[i - 1] != '\0')
		i--;
	return i;
}

/* What is said of a value in its place: "DB_PASSWORD: unbound variable". */
static bool is_complaint(const struct secret_scanner *s, size_t from)
{
	static const char *const phrases[] = {
	        "not set",
	        "not found",
	        "no such ",
	        "unbound variable",
	        "expected ",
	        "parameter not set",
	        "permission denied",
	        "field required",
	        "is not ",
	        "is required",
	        "is missing",
	        "must be ",
	        "must not ",
	        "cannot be ",
	        "not provided",
	        "not specified",
	        "missing ",
	        "undefined",
	        "environment variable",
	        "variable ",
	        "required ",
	        "invalid ",
	        "incorrect ",
	        "authentication failed",
	        "not defined",
	        "unset",
	        "has expired",
	        "mismatch",
	};
	if (s->text[from - 1] != ' ')
		return false;
	for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
		if (s->length - from >= strlen(phrases[i]) &&
		    strncasecmp(s->text + from, phrases[i], strlen(phrases[i])) == 0)
			return true;
	return false;
}

/* A call or a look-up stands there, as in a source line under a traceback: "password =
 * ask(prompt)", "token := os.Getenv(name)", "key = os.environ[name]". */
static bool is_call(const struct secret_scanner *s, size_t from)
{
	size_t i = from;
	if (s->text[from - 1] != ' ')
		return false;
	while (i < s->length && i - from < VALUE_GLANCE &&
	       (ascii_is_letter(s->text[i]) || s->text[i] == '_' || s->text[i] == '.'))
		i++;
	return i > from && i < s->length && (s->text[i] == '(' || s->text[i] == '[');
}

/* The path of a file with the secret: GOOGLE_APPLICATION_CREDENTIALS=/var/secrets/key.json */
static bool is_path(const struct secret_scanner *s, size_t from, size_t end)
{
	size_t i = from;
	while (i < end && (ascii_is_alnum(s->text[i]) || strchr("/._-", s->text[i]) != NULL))
		i++;
	return end - from > 2 && s->text[from] == '/' && i == end &&
	       memchr(s->text + from + 1, '/', end - from - 1) != NULL &&
	       !is_random(s, from, end, 16);
}

/* A weak key in prose, or before a number, is a word. */
static bool is_prose(const struct secret_scanner *s, const struct key *key, char separator,
                     size_t from, size_t end)
{
	if (key->strength == KEY_RANDOM)
		return !is_random(s, from, end, 16);
	if (key->strength != KEY_WEAK && key->strength != KEY_ASSIGNED)
		return false;
	if (is_path(s, from, end))
		return true;
	bool prose = separator == ':' && !key->quoted && !key->line_start;
	return end - from < 6 || (prose && !looks_random(s, from, end));
}

/* The end of a quoted value that was broken over two lines: the quote that closes it is behind the
 * first word of the second. from: it was not. */
static size_t wrapped_end(struct secret_scanner *s, size_t from, char quote)
{
	size_t i = from + 1;
	if (from >= s->length || s->text[from] != '\n')
		return from;
	while (i < s->length && i - from <= WRAPPED_MAX &&
	       (ascii_is_alnum(s->text[i]) || strchr("+/=_.-", s->text[i]) != NULL))
		i++;
	s->work += i - from;
	bool closed = i < s->length && i > from + 1 && s->text[i] == quote;
	return closed ? i : from;
}

static size_t value_end(struct secret_scanner *s, const struct key *key, size_t from, char quote,
                        bool escaped)
{
	char separator = s->text[s->in];
	/* A quoted value that stays is scanned again, but no further than the next quote. */
	if (quote != '\0')
		return wrapped_end(s, scanner_quoted_end(s, from, quote, escaped), quote);
	if (key->strength == KEY_LINE)
		return bare_end(s, from, true, false);
	if (key->strength == KEY_STRONG)
		return bare_end(s, from, key->line_start && separator == ':', separator == '%');
	size_t end = from;
	while (end < s->length && end - from < VALUE_GLANCE && !ascii_is_space(s->text[end]) &&
	       strchr("&;<>\"'", s->text[end]) == NULL)
		end++;
	return is_prose(s, key, separator, from, end) ? from
	                                              : bare_end(s, from, false, separator == '%');
}

/* The key that is the value of "name" or "key" there: {name: DB_PASSWORD, value: x} */
static struct key find_named(struct secret_scanner *s)
{
	struct key named = {0};
	char quote;
	bool escaped;
	size_t from = value_start(s, &quote, &escaped);
	size_t end = from;
	while (end < s->length && end - from < KEY_MAX && is_name_byte(s->text[end]))
		end++;
	s->work += end - from;
	key_look_up(s, from, end, &named);
	if (named.strength == KEY_LINE)
		named.strength = KEY_NONE;
	return named;
}

/* The key, or what a "name" said of this "value". */
static struct key read_key(struct secret_scanner *s)
{
	struct key key = {0};
	find_key(s, &key);
	/* A header has a colon. */
	if (key.strength == KEY_LINE && s->text[s->in] != ':')
		key.strength = KEY_WEAK;
	if (key.is_name) {
		s->named = find_named(s);
	} else if (key.is_value && s->named.strength != KEY_NONE) {
		/* name=api_token value=12 may be a measurement. */
		key.strength = s->text[s->in] == '=' && s->named.strength == KEY_STRONG
		                       ? KEY_WEAK
		                       : s->named.strength;
		s->named = (struct key){0};
	}
	return key;
}

bool take_value(struct secret_scanner *s)
{
	char separator = s->text[s->in];
	struct key key = read_key(s);
	if (key.strength == KEY_NONE || key.strength == KEY_NEVER)
		return false;
	char quote;
	bool escaped;
	size_t from = value_start(s, &quote, &escaped);
	bool counts = key.strength == KEY_ASSIGNED && separator == ':' && quote == '\0';
	bool folder = key.is_pwd && from < s->length && s->text[from] == '/';
	bool assigns = separator == '=' || scanner_text_at(s, s->in, ":=");
	bool call = assigns && is_call(s, from);
	if (counts || folder || call || is_placeholder(s, from) || is_complaint(s, from)) {
		scanner_copy(s, from - s->in);
		return true;
	}
	size_t end = value_end(s, &key, from, quote, escaped);
	bool stays = is_harmless(s, from, end) || is_prose(s, &key, separator, from, end);
	scanner_copy(s, from - s->in);
	/* Where only its look tells, a form of its own says more. */
	if (!stays && !(key.strength == KEY_RANDOM && take_token(s)))
		scanner_replace(s, end, NULL);
	return true;
}

/*
 * The key of the element whose tag is text[at..end), or without one has ended with an attribute:
 * <property name="db.password">x</property>, <name>db.password</name><value>x</value>.
 */
static struct key element_key(struct secret_scanner *s, size_t at, size_t end)
{
	struct key key = {0};
	size_t from = s->in + 1;
	size_t length = end - at;
	if (length == 0 || (length == 5 && memcmp(s->text + at, "value", 5) == 0)) {
		key = s->named;
		s->named = (struct key){0};
		return key;
	}
	key_look_up(s, at, end, &key);
	if (length != 4 || memcmp(s->text + at, "name", 4) != 0)
		return key;
	size_t last = from;
	while (last < s->length && last - from < KEY_MAX && is_name_byte(s->text[last]))
		last++;
	s->work += last - from;
	s->named = (struct key){0};
	key_look_up(s, from, last, &s->named);
	return key;
}

bool take_element(struct secret_scanner *s)
{
	size_t end = s->out;
	size_t at = end;
	while (at > 0 && end - at < KEY_MAX && is_name_byte(s->text[at - 1]))
		at--;
	s->work += end - at;
	bool named = at == end && at > 0 && s->text[at - 1] == '"';
	if (!named && (at == end || at == 0 || s->text[at - 1] != '<'))
		return false;
	size_t from = s->in + 1;
	struct key key = element_key(s, at, end);
	if (key.strength == KEY_NONE || key.strength == KEY_NEVER)
		return false;
	size_t limit = s->length - from < ELEMENT_MAX ? s->length : from + ELEMENT_MAX;
	const char *close = memchr(s->text + from, '<', limit - from);
	size_t last = close == NULL ? limit : (size_t)(close - s->text);
	s->work += last - from;
	bool stays = last == from || is_placeholder(s, from) || is_harmless(s, from, last) ||
	             (key.strength != KEY_STRONG && !looks_random(s, from, last));
	if (close != NULL ? s->text[last + 1 < s->length ? last + 1 : last] != '/'
	                  : last != s->length)
		stays = true;
	if (stays)
		return false;
	scanner_copy(s, 1);
	scanner_replace(s, last, NULL);
	return true;
}
