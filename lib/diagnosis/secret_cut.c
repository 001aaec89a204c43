/* The beginning of a text that has lost what stood before it: the rest of a secret may be there. */
#include "lib/diagnosis/secret_scanner.h"

#include <string.h>

#include "lib/base/ascii.h"

/* Where the rest of the first line ends at the latest, in a short text and in a long one. */
#define CUT_LINE_MAX      ((size_t)1024)
#define CUT_LONG_LINE_MAX ((size_t)4096)
#define LONG_TEXT         ((size_t)16 * 1024)
/* How much is dropped if no line end is near: a quarter, within these bounds. */
#define CUT_LEAST ((size_t)256)
#define CUT_MOST  ((size_t)1024)
/* A line of nothing but base64, at least so long, at the beginning may be a key's. */
#define PEM_LINE_LEAST 40
/* The same of one that the text ends with. */
#define PEM_END_LEAST 16
/* In how many bytes a key's heading may end that began before the text. */
#define HEADING_MAX ((size_t)48)

/* The end of base64 at from; *ret_next is behind the line end, real or escaped, that follows. */
static size_t base64_end(const struct secret_scanner *s, size_t from, size_t *ret_next)
{
	size_t i = from;
	while (i < s->length && (ascii_is_alnum(s->text[i]) || s->text[i] == '+' ||
	                         s->text[i] == '/' || s->text[i] == '='))
		i++;
	size_t next = i;
	while (next < s->length && s->text[next] == '\\' && next - i < ESCAPES_MAX)
		next++;
	if (next > i && next < s->length && (s->text[next] == 'n' || s->text[next] == 'r')) {
		next++;
	} else {
		next = i;
		if (next < s->length && s->text[next] == '\r')
			next++;
		if (next < s->length && s->text[next] == '\n')
			next++;
	}
	*ret_next = next > i && s->text[next - 1] != '\r' ? next : i;
	if (i < s->length && s->text[i] == '\r' && *ret_next == i && next > i)
		*ret_next = next;
	return i;
}

/* Behind the rest of a heading, "… PRIVATE KEY-----", that the text begins with; 0: it does not. */
static size_t heading_rest(const struct secret_scanner *s)
{
	size_t limit = s->length < HEADING_MAX ? s->length : HEADING_MAX;
	size_t i = 0;
	while (i < limit && (ascii_is_upper(s->text[i]) || s->text[i] == ' '))
		i++;
	size_t dashes = i;
	while (dashes < s->length && dashes - i < 5 && s->text[dashes] == '-')
		dashes++;
	return dashes > i ? dashes : 0;
}

/* The base64 from start to end, with its line end behind it, is a line of a key: it is long, or
 * what closes the key follows, or the text's end. */
static bool is_key_line(const struct secret_scanner *s, size_t start, size_t end, size_t next)
{
	if (end - start >= PEM_LINE_LEAST)
		return true;
	if (end == start)
		return false;
	return (end == s->length && end - start >= PEM_END_LEAST) ||
	       (end < s->length &&
	        (scanner_text_at(s, next, "-----END ") || scanner_text_at(s, end, "-----END ")));
}

/* Behind the key's lines that begin at start. The first one may be the rest of a line, of any
 * length, where a line of a key follows. */
static size_t key_rest(const struct secret_scanner *s, size_t start, bool cut_line)
{
	bool in_key = false;
	for (;;) {
		size_t next;
		size_t after;
		size_t end = base64_end(s, start, &next);
		bool line = is_key_line(s, start, end, next) || (in_key && end == s->length);
		if (!line && cut_line && next > end) {
			size_t following = base64_end(s, next, &after);
			line = is_key_line(s, next, following, after);
		}
		if (!line)
			return start;
		cut_line = false;
		in_key = true;
		start = next;
		if (next == end)
			return start;
	}
}

void drop_cut_start(struct secret_scanner *s)
{
	size_t most = s->length >= LONG_TEXT ? CUT_LONG_LINE_MAX : CUT_LINE_MAX;
	size_t limit = s->length < most ? s->length : most;
	const char *newline = memchr(s->text, '\n', limit);
	size_t heading = heading_rest(s);
	size_t next;
	size_t first = base64_end(s, 0, &next);
	/* A key that began before: it goes on for as long as lines look like its own. */
	size_t key = heading > 0 ? key_rest(s, heading, true) : 0;
	if (key == 0 && next > first)
		key = key_rest(s, 0, true);
	size_t start = newline != NULL ? (size_t)(newline - s->text) + 1 : 0;
	if (newline == NULL) {
		start = s->length / 4 < CUT_MOST ? s->length / 4 : CUT_MOST;
		start = start > CUT_LEAST ? start : CUT_LEAST;
		start = start > first ? start : first;
		start = start < s->length ? start : s->length;
		while (start < s->length && !ascii_is_space(s->text[start]))
			start++;
	}
	if (key > start)
		start = key;
	/* Whole lines of base64 behind the first one may be the same key's. */
	s->in = newline != NULL || key > 0 ? key_rest(s, start, false) : start;
	s->work += s->in + limit;
}
