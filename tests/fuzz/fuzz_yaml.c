/* YAML: what parses is printed, and comes back the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/buffer.h"
#include "lib/document/yaml.h"
#include "tests/unit/json_equal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new((size_t)256 * 1024 * 1024);
	struct yaml_document *documents;
	struct yaml_document *again;
	size_t count;
	struct error error;
	struct buffer text;
	buffer_init(&text, (size_t)64 * 1024 * 1024);
	if (arena == NULL)
		abort();
	if (yaml_parse(arena, (const char *)data, size, YAML_AS_KUBECTL, &documents, &count,
	               &error)) {
		for (size_t i = 0; i < count; i++) {
			if (documents[i].start > documents[i].end || documents[i].end > size)
				abort();
			buffer_clear(&text);
			yaml_print(&text, documents[i].root);
			if (!buffer_ok(&text))
				continue; /* an expansion larger than the buffer */
			if (!yaml_parse_one(arena, buffer_text(&text), text.length, &again,
			                    &error) ||
			    !json_equal(documents[i].root, again->root)) {
				fprintf(stderr, "%s\n%s\n", buffer_text(&text), error.message);
				abort();
			}
		}
	}
	buffer_free(&text);
	arena_free(arena);
	return 0;
}
