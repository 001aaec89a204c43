/* Quantities, durations, versions, globs, base64: what is accepted prints and reads back the same.
 * Any bytes become a JSON string for people that has no unsafe character. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/buffer.h"
#include "lib/base/duration.h"
#include "lib/base/glob.h"
#include "lib/base/json_write.h"
#include "lib/base/utf8.h"
#include "lib/kube/version.h"
#include "lib/document/quantity.h"

static void check_quantity(const char *text)
{
	struct quantity value;
	struct quantity sum;
	if (!quantity_parse(text, &value, NULL))
		return;
	if (quantity_compare(&value, &value) != 0)
		abort();
	sum = value;
	if (quantity_add(&sum, &value) && value.count > 0 &&
	    (quantity_compare(&sum, &value) > 0) == value.negative)
		abort();
}

static void check_duration(const char *text)
{
	int64_t value;
	int64_t again;
	char printed[64];
	struct buffer out;
	if (!duration_parse(text, &value, NULL))
		return;
	buffer_init_fixed(&out, printed, sizeof printed);
	duration_print(&out, value);
	if (!buffer_ok(&out) || !duration_parse(printed, &again, NULL) || again != value)
		abort();
}

static void check_base64(const char *text, size_t length)
{
	struct buffer decoded;
	struct buffer encoded;
	buffer_init(&decoded, 1 << 20);
	buffer_init(&encoded, 1 << 21);
	if (base64_decode(&decoded, text, length)) {
		base64_encode(&encoded, buffer_text(&decoded), decoded.length);
		if (encoded.length != length || memcmp(buffer_text(&encoded), text, length) != 0)
			abort();
	}
	buffer_free(&encoded);
	buffer_free(&decoded);
}

static void check_safe_text(const char *text, size_t length)
{
	struct buffer out;
	buffer_init(&out, (size_t)8 << 20);
	json_escape_safe(&out, text, length);
	const char *json = buffer_text(&out);
	if (!buffer_ok(&out) || out.length < 2 || json[0] != '"' || json[out.length - 1] != '"')
		abort();
	for (size_t i = 0; i < out.length;) {
		size_t sequence = utf8_sequence(json + i, out.length - i);
		if (sequence == 0 || (unsigned char)json[i] < 0x20 ||
		    utf8_is_unsafe(utf8_code_point(json + i, sequence)))
			abort();
		i += sequence;
	}
	buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	unsigned minor;
	if (text == NULL)
		abort();
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	check_quantity(text);
	check_duration(text);
	check_base64(text, size);
	check_safe_text(text, size);
	kube_version_parse(text, &minor, NULL);
	char *split = strchr(text, '|');
	if (split != NULL) {
		*split = '\0';
		glob_match(text, split + 1);
	}
	free(text);
	return 0;
}
