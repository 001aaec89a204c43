#include "cli/ca_bundle.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/buffer.h"

#define PEM_MAX ((size_t)1024 * 1024)
#define BEGIN   "-----BEGIN CERTIFICATE-----"
#define END     "-----END CERTIFICATE-----"

/* Appends the text of every certificate without white space, a line each. */
static void write_certificates(struct buffer *out, const char *pem)
{
	for (const char *begin = strstr(pem, BEGIN); begin != NULL; begin = strstr(pem, BEGIN)) {
		const char *text = begin + strlen(BEGIN);
		const char *end = strstr(text, END);
		if (end == NULL)
			return;
		buffer_append_char(out, '\n');
		for (; text < end; text++)
			if (isspace((unsigned char)*text) == 0)
				buffer_append_char(out, *text);
		buffer_append_char(out, '\n');
		pem = end + strlen(END);
	}
}

static bool read_certificates(struct buffer *out, const char *encoded)
{
	struct buffer _cleanup_buffer_ pem;
	buffer_init(&pem, PEM_MAX);
	if (!base64_decode(&pem, encoded, strlen(encoded)) || !buffer_ok(&pem))
		return false;
	write_certificates(out, buffer_text(&pem));
	return buffer_ok(out);
}

bool ca_bundle_compare(const char *bundle, const char *secret, struct ca_match *ret_match)
{
	struct buffer _cleanup_buffer_ trusted;
	struct buffer _cleanup_buffer_ wanted;
	struct ca_match match = {0, 0};
	buffer_init(&trusted, PEM_MAX);
	buffer_init(&wanted, PEM_MAX);
	if (!read_certificates(&trusted, bundle) || !read_certificates(&wanted, secret))
		return false;
	/* "\nCERTIFICATE\n\nCERTIFICATE\n" */
	char *text = buffer_steal(&wanted);
	const char *all = buffer_text(&trusted);
	for (char *line = text; line != NULL && *line == '\n';) {
		char *end = strchr(line + 1, '\n');
		if (end == NULL)
			break;
		char behind = end[1];
		end[1] = '\0';
		match.count++;
		match.found += strstr(all, line) != NULL;
		end[1] = behind;
		line = end + 1;
	}
	buffer_free(&wanted);
	free(text);
	*ret_match = match;
	return true;
}
