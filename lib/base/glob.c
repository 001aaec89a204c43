#include "lib/base/glob.h"

#include <string.h>

bool glob_match(const char *pattern, const char *text)
{
	const char *star = NULL;   /* behind the last * seen */
	const char *resume = NULL; /* where its run ends so far */
	while (*text != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			resume = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star != NULL) {
			/* Only the last star needs to give: an earlier one gains nothing. */
			pattern = star;
			text = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

/* The ends of a pattern and of a text, most of which differ, are compared first. */
static bool ends_fit(const char *pattern, const char *text, size_t length)
{
	size_t size = strlen(pattern);
	if (size == 0 || length == 0)
		return true; /* glob_match() knows */
	char first = pattern[0];
	char last = pattern[size - 1];
	return (first == '*' || first == '?' || first == text[0]) &&
	       (last == '*' || last == '?' || last == text[length - 1]);
}

bool glob_match_any(const char *const *patterns, size_t count, const char *text)
{
	size_t length = strlen(text);
	for (size_t i = 0; i < count; i++)
		if (ends_fit(patterns[i], text, length) && glob_match(patterns[i], text))
			return true;
	return false;
}
