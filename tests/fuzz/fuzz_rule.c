/* A rule of one's own, from the first line, on the rest as a log: strict, bounded, valid. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/utf8.h"
#include "lib/diagnosis/snippet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
	char text[512];
	if (end == NULL || (size_t)(end - data) >= sizeof text)
		return 0;
	memcpy(text, data, (size_t)(end - data));
	text[end - data] = '\0';
	static struct own_rules own;
	own = (struct own_rules){.count = 0};
	struct error error;
	bool fits = own_rules_check(text, &error);
	if (fits != own_rules_add(&own, text, NULL) || own.count != (fits ? 1 : 0))
		abort();
	struct snippet snippet;
	size_t length = size - (size_t)(end + 1 - data);
	snippet_pick(&own, (const char *)end + 1, length, &snippet);
	if (utf8_valid_prefix(snippet.text, snippet.length) != snippet.length ||
	    utf8_valid_prefix(snippet.statement, snippet.statement_length) !=
	            snippet.statement_length ||
	    snippet.focus > snippet.statement_length)
		abort();
	return 0;
}
