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

static inline bool fits(char pattern, char text)
{
	return pattern == '*' || pattern == '?' || pattern == text;
}

/* The ends of a pattern and of a text, most of which differ, are compared first. */
static inline bool ends_fit(const char *pattern, const char *text, size_t length)
{
	if (pattern[0] == '\0' || length == 0)
		return true; /* glob_match() knows */
	return fits(pattern[0], text[0]) && fits(pattern[strlen(pattern) - 1], text[length - 1]);
}

bool glob_match_any(const char *const *patterns, size_t count, const char *text)
{
	size_t length = strlen(text);
	for (size_t i = 0; i < count; i++)
		if (ends_fit(patterns[i], text, length) && glob_match(patterns[i], text))
			return true;
	return false;
}
