#include "lib/base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_FIRST_CAPACITY 1024

void buffer_init(struct buffer *buffer, size_t limit)
{
	*buffer = (struct buffer){.limit = limit};
}

void buffer_init_secret(struct buffer *buffer, size_t limit)
{
	*buffer = (struct buffer){.limit = limit, .secret = true};
}

void buffer_init_fixed(struct buffer *buffer, char *storage, size_t size)
{
	*buffer = (struct buffer){
	        .data = storage, .capacity = size, .limit = size - 1, .fixed = true};
	storage[0] = '\0';
}

static void release(struct buffer *buffer)
{
	if (buffer->secret && buffer->data != NULL)
		explicit_bzero(buffer->data, buffer->capacity);
	free(buffer->data);
}

void buffer_free(struct buffer *buffer)
{
	if (buffer == NULL)
		return;
	if (buffer->fixed) {
		buffer_clear(buffer);
		return;
	}
	release(buffer);
	*buffer = (struct buffer){.limit = buffer->limit, .secret = buffer->secret};
}

void buffer_clear(struct buffer *buffer)
{
	buffer->length = 0;
	buffer->failed = false;
	if (buffer->secret && buffer->data != NULL)
		explicit_bzero(buffer->data, buffer->capacity);
	if (buffer->data != NULL)
		buffer->data[0] = '\0';
}

/* As realloc(), which may leave a copy of the old content behind. */
static char *grow(struct buffer *buffer, size_t capacity)
{
	if (!buffer->secret)
		return realloc(buffer->data, capacity);
	char *data = malloc(capacity);
	if (data == NULL)
		return NULL;
	if (buffer->data != NULL)
		memcpy(data, buffer->data, buffer->length + 1);
	release(buffer);
	return data;
}

/* Room for length more bytes and a NUL where there is none yet; false and marked as failed when it
 * is not to be had. */
static bool make_room(struct buffer *buffer, size_t length)
{
	if (buffer->failed)
		return false;
	if (length > buffer->limit - buffer->length) {
		buffer->failed = true;
		return false;
	}

	size_t needed = buffer->length + length + 1;
	size_t capacity = buffer->capacity == 0 ? BUFFER_FIRST_CAPACITY : buffer->capacity;
	while (capacity < needed)
		capacity *= 2; /* limit < SIZE_MAX / 2: cannot overflow */
	if (capacity > buffer->limit + 1)
		capacity = buffer->limit + 1;
	char *data = grow(buffer, capacity);
	if (data == NULL) {
		buffer->failed = true;
		return false;
	}
	buffer->data = data;
	buffer->capacity = capacity;
	return true;
}

void buffer_reserve(struct buffer *buffer, size_t length)
{
	if (!buffer_has_room(buffer, length))
		make_room(buffer, length);
}

char *buffer_grow_and_extend(struct buffer *buffer, size_t length)
{
	return make_room(buffer, length) ? buffer_extend(buffer, length) : NULL;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
	char *start = buffer_extend(buffer, length);
	if (start != NULL && length > 0)
		memcpy(start, bytes, length);
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
	buffer_append(buffer, text, strlen(text));
}

void buffer_grow_and_append_char(struct buffer *buffer, char character)
{
	buffer_append(buffer, &character, 1);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	va_list again;
	va_copy(again, arguments);
	int length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);

	if (length < 0)
		buffer->failed = true;
	else
		buffer_reserve(buffer, (size_t)length);
	if (buffer_ok(buffer)) {
		vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, again);
		buffer->length += (size_t)length;
	}
	va_end(again);
}

void buffer_truncate(struct buffer *buffer, size_t length)
{
	if (length >= buffer->length)
		return;
	buffer->length = length;
	buffer->data[length] = '\0';
}

const char *buffer_text(const struct buffer *buffer)
{
	return buffer->data == NULL ? "" : buffer->data;
}

char *buffer_steal(struct buffer *buffer)
{
	char *data = buffer->failed ? NULL : buffer->data;
	if (buffer->failed)
		release(buffer);
	*buffer = (struct buffer){.limit = buffer->limit, .secret = buffer->secret};
	return data;
}
