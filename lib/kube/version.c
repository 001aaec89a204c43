#include "lib/kube/version.h"

#include <stdlib.h>
#include <string.h>

bool kube_version_parse(const char *text, unsigned *ret_minor, struct error *error)
{
	const char *digits = text + (*text == 'v');
	size_t length = 0;
	if (strncmp(digits, "1.", 2) == 0) {
		digits += 2;
		length = strspn(digits, "0123456789");
	}
	unsigned long minor = length > 0 && length <= 4 ? strtoul(digits, NULL, 10) : 0;
	if (minor == 0 || strchr(".-+", digits[length]) == NULL)
		return error_set(error, "expected a version such as 1.36, got \"%.60s\"", text);
	*ret_minor = (unsigned)minor;
	return true;
}
