/* Snippet, classification, summary and fingerprint of any bytes: bounds and valid UTF-8. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/diagnosis/classify.h"
#include "lib/diagnosis/fingerprint.h"
#include "lib/diagnosis/normalise.h"
#include "lib/diagnosis/snippet.h"
#include "lib/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 4)
		return 0;
	struct snippet snippet;
	snippet_pick(NULL, (const char *)data + 4, size - 4, &snippet);
	require(snippet.length == strlen(snippet.text) && snippet.length <= SNIPPET_SIZE_MAX);
	require(snippet.statement_length == strlen(snippet.statement));
	require(utf8_valid_prefix(snippet.text, snippet.length) == snippet.length);
	require(strchr(snippet.statement, '\n') == NULL);

	struct observation observation = {
	        .ended = (enum ended)(data[0] % 5),
	        .exit_code = data[1],
	        .signal = data[1] % 70,
	        .oom_kills = data[2] & 1,
	        .killed_by_us = (enum killed_by_us)(data[3] % 3),
	        .termination_requested = (data[2] & 2) != 0,
	        .snippet = &snippet,
	};
	const char *evidence = NULL;
	enum cause cause = classify(&observation, &evidence);
	enum cause again = CAUSE_UNKNOWN;
	require(evidence != NULL && cause_from_name(cause_name(cause), &again) && again == cause);
	char storage[SUMMARY_SIZE_MAX + 1];
	struct buffer summary;
	buffer_init_fixed(&summary, storage, sizeof storage);
	classify_summary(&observation, cause, &summary);
	require(buffer_ok(&summary));
	require(utf8_valid_prefix(buffer_text(&summary), summary.length) == summary.length);

	char normal_storage[SNIPPET_SIZE_MAX + 1];
	struct buffer normal;
	buffer_init_fixed(&normal, normal_storage, sizeof normal_storage);
	normalise(snippet.statement, snippet.statement_length, &normal);
	require(buffer_ok(&normal));
	char print[FINGERPRINT_SIZE];
	fingerprint("Job/x-123", "main", cause_name(cause), snippet.statement,
	            snippet.statement_length, print);
	require(strlen(print) == FINGERPRINT_SIZE - 1);
	return 0;
}
