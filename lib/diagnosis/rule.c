#include "lib/diagnosis/rule.h"

#include <string.h>

#include "lib/base/ascii.h"

static const char *skip_spaces(const char *text)
{
	return text + strspn(text, " \t");
}

/* The next word into out of size bytes; false: there is none, or it is too long. */
static bool read_word(const char **text, char *out, size_t size)
{
	const char *start = skip_spaces(*text);
	size_t length = strcspn(start, " \t\"");
	if (length == 0 || length >= size)
		return false;
	memcpy(out, start, length);
	out[length] = '\0';
	*text = start + length;
	return true;
}

static bool find_word(const char *const words[], unsigned count, const char *word,
                      unsigned *ret_index)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(words[i], word) == 0) {
			*ret_index = i;
			return true;
		}
	return false;
}

static bool parse_number(const char *text, char ending, unsigned *ret_number)
{
	unsigned number = 0;
	size_t length = 0;
	for (; length < 3 && ascii_is_digit(text[length]); length++)
		number = number * 10 + (unsigned)(text[length] - '0');
	bool ends = text[length] == '\0' || (text[length] == ending && text[length + 1] == '\0');
	if (length == 0 || length > 2 || !ends)
		return false;
	*ret_number = number;
	return true;
}

static bool parse_weight(const char *word, struct diagnosis_rule *rule, struct error *error)
{
	bool ceiling = strncmp(word, "max", 3) == 0;
	unsigned weight = 0;
	if (strcmp(word, "frame") == 0) {
		rule->kind = RULE_FRAME;
		return true;
	}
	rule->kind = ceiling ? RULE_CEILING : RULE_WEIGHT;
	rule->insists = (!ceiling && word[strlen(word) - 1] == '!') ? 1 : 0;
	if (!parse_number(ceiling ? word + 3 : word, ceiling ? '\0' : '!', &weight))
		return error_set(error,
		                 "weight \"%s\": expected 0 to 99, 0! to 99!, max0 to max99"
		                 " or frame",
		                 word);
	rule->weight = weight & 0x7f;
	return true;
}

bool rule_parse_string(const char **text, char *out, size_t size, bool wildcards,
                       struct error *error)
{
	const char *at = skip_spaces(*text);
	size_t used = 0;
	if (*at != '"')
		return error_set(error, "expected a string in double quotes");
	for (at++; *at != '"'; at++) {
		char c = *at;
		if (wildcards && (c == '#' || c == '*'))
			c = c == '#' ? RULE_DIGITS : RULE_GAP;
		if (*at == '\\' && strchr("\"\\#*", at[1]) != NULL)
			c = *++at;
		if (*at == '\0' || used + 1 >= size)
			return error_set(error,
			                 *at == '\0' ? "a string without its closing quote"
			                             : "a string longer than %zu bytes",
			                 size - 1);
		out[used++] = c;
	}
	out[used] = '\0';
	*text = at + 1;
	return true;
}

static bool parse_pattern(const char **text, struct rule_source *source, struct error *error)
{
	char pattern[RULE_PATTERN_MAX + 1] = "";
	if (!rule_parse_string(text, pattern, sizeof pattern, true, error))
		return false;
	size_t length = strlen(pattern);
	for (size_t i = 0; i < length; i++) {
		if (i < RULE_ANCHOR && (pattern[i] == RULE_DIGITS || pattern[i] == RULE_GAP))
			length = 0;
		if ((unsigned char)pattern[i] < ' ' && pattern[i] != RULE_DIGITS &&
		    pattern[i] != RULE_GAP)
			return error_set(error, "a control character in a pattern");
		if (ascii_is_upper(pattern[i]))
			source->rule.exact = 1;
	}
	if (length < RULE_ANCHOR)
		return error_set(error, "a pattern begins with at least %d literal bytes",
		                 RULE_ANCHOR);
	if (pattern[length - 1] == RULE_GAP)
		return error_set(error, "a pattern does not end with *");
	source->rule.length = (uint8_t)length;
	memcpy(source->pattern, pattern, length);
	return true;
}

bool rule_parse(const char *text, struct rule_source *ret_source, const char **ret_rest,
                struct error *error)
{
	static const char *const places[] = {"any", "word", "start", "end", "line"};
	static const char *const takes[] = {"line", "from", "after", "next"};
	struct rule_source source = {.rule = {.kind = RULE_WEIGHT}};
	char place[8];
	char weight[8];
	char take[8];
	unsigned place_index = 0;
	unsigned take_index = 0;
	if (!read_word(&text, place, sizeof place) || !read_word(&text, weight, sizeof weight) ||
	    !read_word(&text, source.detail, sizeof source.detail) ||
	    !read_word(&text, take, sizeof take))
		return error_set(error, "expected PLACE WEIGHT DETAIL TAKE \"PATTERN\"");
	if (!find_word(places, 5, place, &place_index))
		return error_set(error, "place \"%s\": expected any, word, start, end or line",
		                 place);
	if (!find_word(takes, 4, take, &take_index))
		return error_set(error, "take \"%s\": expected line, from, after or next", take);
	source.rule.place = place_index & 7;
	source.rule.take = take_index & 3;
	if (!parse_weight(weight, &source.rule, error) || !parse_pattern(&text, &source, error))
		return false;
	if (strcmp(source.detail, "-") == 0)
		source.detail[0] = '\0';
	if (ret_rest == NULL && *skip_spaces(text) != '\0')
		return error_set(error, "nothing is expected behind the pattern");
	*ret_source = source;
	if (ret_rest != NULL)
		*ret_rest = text;
	return true;
}

/* The literal bytes of pattern at text[at]; how many there are, 0: they are not there. */
static size_t match_literal(const struct diagnosis_rule *rule, const char *pattern, size_t count,
                            const char *text, size_t length, size_t at)
{
	if (count > length - at)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (pattern[i] != (rule->exact ? text[at + i] : ascii_to_lower(text[at + i])))
			return 0;
	return count;
}

static size_t literal_length(const char *pattern, size_t length)
{
	size_t count = 0;
	while (count < length && pattern[count] != RULE_DIGITS && pattern[count] != RULE_GAP)
		count++;
	return count;
}

size_t rule_match(const struct diagnosis_rule *rule, const char *pattern, const char *text,
                  size_t length, size_t at)
{
	for (size_t i = 0; i < rule->length;) {
		size_t gap = 0;
		if (pattern[i] == RULE_DIGITS) {
			if (at >= length || !ascii_is_digit(text[at]))
				return SIZE_MAX;
			while (at < length && ascii_is_digit(text[at]))
				at++;
			i++;
			continue;
		}
		if (pattern[i] == RULE_GAP) {
			gap = RULE_GAP_MAX;
			i++;
		}
		size_t count = literal_length(pattern + i, rule->length - i);
		if (count == 0) {
			/* Digits behind a gap: up to the first digit. */
			while (gap > 0 && at < length && !ascii_is_digit(text[at])) {
				at++;
				gap--;
			}
			continue;
		}
		while (match_literal(rule, pattern + i, count, text, length, at) == 0) {
			if (gap == 0 || at >= length)
				return SIZE_MAX;
			at++;
			gap--;
		}
		at += count;
		i += count;
	}
	return at;
}
