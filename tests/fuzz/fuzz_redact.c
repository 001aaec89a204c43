/* Redaction: never longer, linear work, also with a pattern of the input's own. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/diagnosis/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	/* The first byte: cut or not, and whether the next line is a pattern. */
	bool cut_start = (data[0] & 1) != 0;
	static struct redact_patterns patterns;
	memset(&patterns, 0, sizeof patterns);
	const uint8_t *text = data + 1;
	size_t length = size - 1;
	const uint8_t *end = length > 0 ? memchr(text, '\n', length) : NULL;
	if ((data[0] & 2) != 0 && end != NULL && end - text < 200) {
		char pattern[200] = "";
		memcpy(pattern, text, (size_t)(end - text));
		bool fits = redact_pattern_check(pattern, NULL);
		if (fits != redact_patterns_add(&patterns, pattern, NULL))
			abort();
	}
	char *copy = malloc(length > 0 ? length : 1);
	if (copy == NULL)
		abort();
	if (length > 0)
		memcpy(copy, text, length);
	struct redact_report report;
	size_t left = redact(&patterns, cut_start, copy, length, &report);
	if (left > length || report.work > 4 * (64 + 80 * patterns.count) * (length + 64))
		abort();
	/* What was redacted by known forms stays as it is. */
	if (patterns.count == 0) {
		size_t again = redact(NULL, false, copy, left, &report);
		if (again != left || report.redactions > 0) {
			char *first = malloc(length > 0 ? length : 1);
			if (first == NULL)
				abort();
			if (length > 0)
				memcpy(first, text, length);
			redact(NULL, cut_start, first, length, NULL);
			if (again != left || memcmp(first, copy, left) != 0)
				abort();
			free(first);
		}
	}
	free(copy);
	return 0;
}
