/* Any body of a 200: the error that is found is one line at its end; through a log_buffer, in
 * pieces, the agent's part comes out as it went in. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "observer/evidence/log_buffer.h"
#include "observer/evidence/log_error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *body = (const char *)data;
	size_t at = log_error_find(body, size);
	if (at > size)
		abort();
	const char *line_end = at == size ? NULL : memchr(body + at, '\n', size - at);
	if (line_end != NULL && (line_end != body + size - 1 || at != 0))
		abort();

	struct log_buffer buffer = {.memory = NULL};
	for (size_t i = 0; i < size; i += 100)
		log_buffer_append(&buffer, body + i, size - i < 100 ? size - i : 100);
	struct log_text text = log_buffer_read(&buffer);
	if (size <= LOG_BUFFER_SIZE && (text.length != at || text.failed != (at < size) ||
	                                (at > 0 && memcmp(text.bytes, body, at) != 0)))
		abort();
	free(text.bytes);
	log_buffer_free(&buffer);
	return 0;
}
