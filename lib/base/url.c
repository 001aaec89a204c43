#include "lib/base/url.h"

#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/buffer.h"

#define ESCAPED_MAX ((size_t)64 * 1024)

void url_escape(struct buffer *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (ascii_is_alnum(*text) || strchr("-._~/", *text) != NULL)
			buffer_append_char(out, *text);
		else
			buffer_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
	}
}

char *url_escaped(const char *text)
{
	struct buffer out;
	buffer_init(&out, ESCAPED_MAX);
	url_escape(&out, text);
	return buffer_steal(&out);
}
