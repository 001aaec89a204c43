/* Secrets that a pattern of one's own describes (redact_pattern.h). */
#include "lib/diagnosis/secret_scanner.h"

#include <string.h>

static bool class_has(const struct redact_element *element, char c)
{
	unsigned char byte = (unsigned char)c;
	return (element->class[byte / 32] >> (byte % 32) & 1) != 0;
}

/* The end of the run of a class's bytes at from. Positions asked for only grow. */
static size_t element_end(struct secret_scanner *s, const struct redact_element *element,
                          struct run *run, size_t from)
{
	if (from < run->start || from >= run->end) {
		size_t end = from;
		while (end < s->length && class_has(element, s->text[end]))
			end++;
		s->work += end - from + 1;
		*run = (struct run){from, end};
	}
	return run->end;
}

bool take_pattern(struct secret_scanner *s)
{
	for (unsigned p = 0; p < s->patterns->count; p++) {
		const struct redact_pattern *pattern = &s->patterns->patterns[p];
		const char *literal = pattern->literals;
		size_t at = s->in;
		unsigned e = 0;
		for (; e < pattern->element_count; e++) {
			const struct redact_element *element = &pattern->elements[e];
			size_t taken = element->literal;
			if (taken > 0) {
				s->work += taken;
				if (taken > s->length - at ||
				    memcmp(s->text + at, literal, taken) != 0)
					break;
				literal += taken;
			} else {
				taken = element_end(s, element, &s->elements[p][e], at) - at;
				if (taken < element->least)
					break;
				taken = element->run ? taken : 1;
			}
			at += taken;
		}
		if (e == pattern->element_count) {
			scanner_replace(s, at, "pattern");
			return true;
		}
	}
	return false;
}
