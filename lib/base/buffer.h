/*
 * buffer: a growing byte buffer with a ceiling.
 *
 * Every buffer has a limit, set when it is made. An append that would pass the limit, or for which
 * there is no memory, appends nothing and marks the buffer as failed; from then on every append is
 * ignored. So a writer appends freely and asks buffer_ok() once, at the end.
 *
 * data is always NUL-terminated once something was appended (the NUL is not counted in length); it
 * may hold NULs of its own. A fixed buffer works in the caller's storage and never allocates: that
 * is what runs inside the agent's pod. Not thread-safe; one owner.
 */
#ifndef LASTWORD_LIB_BASE_BUFFER_H
#define LASTWORD_LIB_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
	char *data;      /* NULL until the first append to a growing buffer */
	size_t length;   /* bytes in use */
	size_t capacity; /* bytes at data, the NUL included; at most limit + 1 */
	size_t limit;    /* the most that length may be */
	bool fixed;      /* data is the caller's */
	bool secret;     /* memory is wiped before it is given back */
	bool failed;     /* something did not fit; sticky until buffer_clear() */
};

/* An empty growing buffer; at most limit bytes (limit < SIZE_MAX / 2). Allocates nothing yet. */
void buffer_init(struct buffer *buffer, size_t limit);

/* As buffer_init(), for keys and tokens: growing, clearing and freeing leave no copy behind. */
void buffer_init_secret(struct buffer *buffer, size_t limit);

/* An empty buffer in the caller's storage of size bytes, size >= 1: at most size - 1 bytes. */
void buffer_init_fixed(struct buffer *buffer, char *storage, size_t size);

/* Frees what a growing buffer holds and leaves it empty and usable. NULL is fine. */
void buffer_free(struct buffer *buffer);
#define _cleanup_buffer_ __attribute__((cleanup(buffer_free)))

/* Forgets the content and the failure, keeps the memory. */
void buffer_clear(struct buffer *buffer);

void buffer_append(struct buffer *buffer, const void *bytes, size_t length);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_printf(struct buffer *buffer, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* There is room for length more bytes without growing. */
static inline bool buffer_has_room(const struct buffer *buffer, size_t length)
{
	return !buffer->failed && length < buffer->capacity - buffer->length;
}

void buffer_grow_and_append_char(struct buffer *buffer, char character);
static inline void buffer_append_char(struct buffer *buffer, char character)
{
	if (!buffer_has_room(buffer, 1)) {
		buffer_grow_and_append_char(buffer, character);
		return;
	}
	buffer->data[buffer->length++] = character;
	buffer->data[buffer->length] = '\0';
}

/* Takes the memory for length more bytes at once, where they are known to come. */
void buffer_reserve(struct buffer *buffer, size_t length);

/* Room for length more bytes at the end, uninitialised, counted at once; NULL when it failed. */
char *buffer_grow_and_extend(struct buffer *buffer, size_t length);
static inline char *buffer_extend(struct buffer *buffer, size_t length)
{
	if (!buffer_has_room(buffer, length))
		return buffer_grow_and_extend(buffer, length);
	char *start = buffer->data + buffer->length;
	buffer->length += length;
	buffer->data[buffer->length] = '\0';
	return start;
}

/* Cuts the buffer back to length bytes; longer than it is: no change. */
void buffer_truncate(struct buffer *buffer, size_t length);

/* Nothing was lost. */
static inline bool buffer_ok(const struct buffer *buffer)
{
	return !buffer->failed;
}

/* The content as a string, "" when empty; never NULL. Valid until the next append. */
const char *buffer_text(const struct buffer *buffer);

/* Hands the content to the caller, who frees it with free(), and wipes a secret; NULL when failed
 * or empty of memory. The buffer is empty afterwards. Growing buffers only. */
char *buffer_steal(struct buffer *buffer);

#endif
