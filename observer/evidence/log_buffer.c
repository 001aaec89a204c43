#include "observer/evidence/log_buffer.h"

#include <stdint.h>
#include <stdlib.h>

#include "observer/evidence/log_error.h"

void log_buffer_free(struct log_buffer *buffer)
{
	free(buffer->memory);
	*buffer = (struct log_buffer){.memory = NULL};
}

void log_buffer_append(struct log_buffer *buffer, const char *bytes, size_t length)
{
	size_t size = ring_memory_size(LOG_BUFFER_SIZE);
	if (buffer->memory == NULL) {
		buffer->memory = malloc(size);
		if (buffer->memory == NULL)
			return;
		buffer->ring = ring_format(buffer->memory, size);
	}
	ring_write(&buffer->ring, bytes, length, 0);
}

/* Where there are LOG_BUFFER_LINES lines, there may have been more. */
static bool may_have_more(const char *text, size_t length)
{
	size_t lines = 0;
	for (size_t i = 0; i < length; i++)
		lines += text[i] == '\n';
	return lines >= LOG_BUFFER_LINES;
}

struct log_text log_buffer_read(const struct log_buffer *buffer)
{
	struct log_text text = {.bytes = NULL};
	uint64_t total = 0;
	char *bytes = buffer->memory == NULL ? NULL : malloc(LOG_BUFFER_SIZE);
	if (bytes == NULL)
		return text;
	size_t read = ring_read(&buffer->ring, bytes, LOG_BUFFER_SIZE, &total, &text.cut);
	size_t length = log_error_find(bytes, read);
	text.failed = length < read;
	text.cut = text.cut || may_have_more(bytes, length);
	if (length == 0) {
		free(bytes);
		return text;
	}
	text.length = length;
	text.bytes = realloc(bytes, length);
	if (text.bytes == NULL)
		text.bytes = bytes; /* larger than it need be */
	return text;
}
