#include "webhook/patterns.h"

#include <string.h>

#include "lib/base/glob.h"
#include "lib/document/json.h"

bool matches_any(const struct strings *patterns, const char *text)
{
	json_work_add(patterns->count * (1 + strlen(text) / 16));
	return json_work_left() > 0 && glob_match_any(patterns->items, patterns->count, text);
}
