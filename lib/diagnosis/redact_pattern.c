#include "lib/diagnosis/redact_pattern.h"

#include <string.h>

#include "lib/base/ascii.h"

static void class_add(struct redact_element *element, unsigned char byte)
{
	element->class[byte / 32] |= UINT32_C(1) << (byte % 32);
}

/* One byte of a class or literal, with its \ taken off. */
static bool pattern_byte(const char *pattern, size_t *at, unsigned char *ret_byte,
                         struct error *error)
{
	size_t i = *at;
	if (pattern[i] == '\\')
		i++;
	if (pattern[i] == '\0')
		return error_set(error, "pattern ends after \\ or inside [ ] at byte %zu", i);
	*ret_byte = (unsigned char)pattern[i];
	*at = i + 1;
	return true;
}

static bool parse_class(const char *pattern, size_t *at, struct redact_element *element,
                        struct error *error)
{
	size_t i = *at + 1;
	size_t opened = *at;
	bool negated = pattern[i] == '^';
	i += negated;
	while (pattern[i] != ']') {
		unsigned char low = 0;
		if (!pattern_byte(pattern, &i, &low, error))
			return false;
		unsigned char high = low;
		if (pattern[i] == '-' && pattern[i + 1] != ']') {
			i++;
			if (!pattern_byte(pattern, &i, &high, error))
				return false;
		}
		if (high < low)
			return error_set(error, "range backwards before byte %zu", i);
		for (unsigned byte = low; byte <= high; byte++)
			class_add(element, (unsigned char)byte);
	}
	if (i == opened + 1 + negated)
		return error_set(error, "empty class [] at byte %zu", opened);
	for (size_t word = 0; negated && word < 8; word++)
		element->class[word] = ~element->class[word];
	if (negated)
		element->class[0] &= ~(UINT32_C(1) << '\n' | UINT32_C(1) << '\r');
	*at = i + 1;
	return true;
}

/* The + or {n} behind a class. */
static bool parse_count(const char *pattern, size_t *at, struct redact_element *element,
                        struct error *error)
{
	element->least = 1;
	if (pattern[*at] == '+') {
		element->run = true;
		(*at)++;
		return true;
	}
	if (pattern[*at] != '{')
		return true;
	size_t i = *at + 1;
	unsigned count = 0;
	for (; ascii_is_digit(pattern[i]) && count <= 4096; i++)
		count = count * 10 + (unsigned)(pattern[i] - '0');
	if (pattern[i] != '}' || count < 1 || count > 4096)
		return error_set(error, "expected {1} to {4096} at byte %zu", *at);
	element->least = (unsigned short)count;
	element->run = true;
	*at = i + 1;
	return true;
}

static bool parse_literal(const char *pattern, size_t *at, struct redact_pattern *out,
                          struct redact_element *element, struct error *error)
{
	while (pattern[*at] != '\0' && pattern[*at] != '[') {
		unsigned char byte = 0;
		if (strchr("]{}+*?()|^$.", pattern[*at]) != NULL)
			return error_set(error, "\"%c\" at byte %zu needs a \\ before it",
			                 pattern[*at], *at);
		if (out->literal_length == REDACT_LITERALS_MAX)
			return error_set(error, "more than %d literal bytes", REDACT_LITERALS_MAX);
		if (!pattern_byte(pattern, at, &byte, error))
			return false;
		out->literals[out->literal_length++] = (char)byte;
		element->literal++;
	}
	return true;
}

static bool compile(const char *pattern, struct redact_pattern *ret_pattern, struct error *error)
{
	struct redact_pattern out = {0};
	unsigned least = 0;
	if (strnlen(pattern, REDACT_PATTERN_SIZE_MAX + 1) > REDACT_PATTERN_SIZE_MAX)
		return error_set(error, "pattern longer than %d bytes", REDACT_PATTERN_SIZE_MAX);
	for (size_t i = 0; pattern[i] != '\0';) {
		if (out.element_count == REDACT_ELEMENTS_MAX)
			return error_set(error, "more than %d parts", REDACT_ELEMENTS_MAX);
		struct redact_element *element = &out.elements[out.element_count++];
		if (pattern[i] != '[') {
			if (!parse_literal(pattern, &i, &out, element, error))
				return false;
			least += element->literal;
			continue;
		}
		if (!parse_class(pattern, &i, element, error) ||
		    !parse_count(pattern, &i, element, error))
			return false;
		least += element->least;
	}
	if (least < 4)
		return error_set(error, "pattern wants %u bytes, at least 4 are needed", least);
	*ret_pattern = out;
	return true;
}

bool redact_pattern_check(const char *pattern, struct error *error)
{
	struct redact_pattern ignored;
	return compile(pattern, &ignored, error);
}

bool redact_patterns_add(struct redact_patterns *patterns, const char *pattern, struct error *error)
{
	if (patterns->count == REDACT_PATTERNS_MAX)
		return error_set(error, "more than %d patterns", REDACT_PATTERNS_MAX);
	if (!compile(pattern, &patterns->patterns[patterns->count], error))
		return false;
	patterns->count++;
	return true;
}
