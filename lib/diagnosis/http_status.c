#include "lib/diagnosis/http_status.h"

#include <stdbool.h>
#include <string.h>

#include "lib/base/ascii.h"

/* How many bytes may set the number off from the word before it: 'status": "503'. */
#define GAP_MAX ((size_t)5)

/* folded[0..end) ends with the word, or with a longer one that does: "statuscode", "httperror". */
static bool ends_with(const char *folded, size_t end, const char *word)
{
	size_t length = strlen(word);
	return end >= length && memcmp(folded + end - length, word, length) == 0;
}

static bool ends_with_any(const char *folded, size_t end, const char *const words[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ends_with(folded, end, words[i]))
			return true;
	return false;
}

/* Nothing behind the number makes it one of something else: "500 rows", "500.3", "500 ms". */
static bool ends_clause(const char *folded, size_t length, size_t behind)
{
	if (behind >= length)
		return true;
	if (folded[behind] == '.')
		return behind + 1 >= length || folded[behind + 1] == ' ';
	if (folded[behind] == ' ')
		return behind + 1 < length && strchr("-{([\"'", folded[behind + 1]) != NULL;
	return strchr(":,;)]}\"'", folded[behind]) != NULL;
}

/* "http/1.1 503" */
static bool follows_version(const char *folded, size_t at)
{
	size_t end = at - 1;
	if (folded[end] != ' ')
		return false;
	while (end > 0 && (ascii_is_digit(folded[end - 1]) || folded[end - 1] == '.'))
		end--;
	return end < at - 1 && ends_with(folded, end, "http/");
}

/* The three digits at folded[at] are a status. */
static bool is_status(const char *folded, size_t length, size_t at)
{
	static const char *const sure[] = {"status", "code", "http", "indicate success"};
	static const char *const likely[] = {"error", "returned", "response", "exception"};
	static const char *const before_brackets[] = {"failed", "failure"};
	size_t end = at;
	unsigned equals = 0;
	while (end > 0 && at - end < GAP_MAX && strchr(" :=([\"'_", folded[end - 1]) != NULL)
		equals += folded[--end] == '=';
	/* "assert response.status_code == 500" is a comparison. */
	if (end == 0 || equals > 1)
		return false;
	if (ends_with_any(folded, end, sure, sizeof sure / sizeof *sure))
		return true;
	/* "<Response [500]>" is how Python's requests prints an object. */
	if (end < at && folded[at - 1] != '[' && ends_clause(folded, length, at + 3) &&
	    ends_with_any(folded, end, likely, sizeof likely / sizeof *likely))
		return true;
	bool in_brackets = folded[at - 1] == '(' && at + 3 < length && folded[at + 3] == ')';
	return (in_brackets && ends_with_any(folded, end, before_brackets,
	                                     sizeof before_brackets / sizeof *before_brackets)) ||
	       follows_version(folded, at);
}

unsigned http_status_find(const char *folded, size_t length, size_t *ret_at)
{
	for (size_t at = 1; at + 3 <= length; at++) {
		if ((folded[at] != '4' && folded[at] != '5') || ascii_is_alnum(folded[at - 1]) ||
		    !ascii_is_digit(folded[at + 1]) || !ascii_is_digit(folded[at + 2]) ||
		    (at + 3 < length && (ascii_is_alnum(folded[at + 3]) || folded[at + 3] == '_')))
			continue;
		if (!is_status(folded, length, at))
			continue;
		*ret_at = at;
		return (unsigned)(folded[at] - '0') * 100 + (unsigned)(folded[at + 1] - '0') * 10 +
		       (unsigned)(folded[at + 2] - '0');
	}
	return 0;
}
