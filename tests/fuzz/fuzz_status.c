/* Any bytes as what lastword status reads: metrics, and a caBundle. A label that is found is within
 * its bounds, the metrics end, and a bundle has all of its own certificates. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ca_bundle.h"
#include "cli/metric_text.h"
#include "lib/base/base64.h"
#include "lib/base/buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer _cleanup_buffer_ encoded;
	struct ca_match match;
	char label[32];
	double value;
	buffer_init(&encoded, (size_t)1024 * 1024);
	char *text = strndup((const char *)data, size);
	if (text == NULL)
		return 0;
	const char *position = text;
	while (metric_text_next_label(&position, "a", "b", label, sizeof label))
		if (strlen(label) >= sizeof label || position > text + strlen(text))
			abort();
	metric_text_sum(text, "a", "b=\"c\"", &value);
	metric_text_sum(text, "a", NULL, &value);
	ca_bundle_compare(text, text, &match);
	base64_encode(&encoded, text, strlen(text));
	if (buffer_ok(&encoded) &&
	    ca_bundle_compare(buffer_text(&encoded), buffer_text(&encoded), &match) &&
	    match.found != match.count)
		abort();
	free(text);
	return 0;
}
