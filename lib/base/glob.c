#include "lib/base/glob.h"

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

bool glob_match_any(const char *const *patterns, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (glob_match(patterns[i], text))
			return true;
	return false;
}
