/*
 * The ring with any header and content, and a reader beside a writer: nothing outside its memory is
 * touched, and what is read is what was written.
 *
 * Input: how much the reader takes, the size, flags; then the memory itself.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/ring.h"

#define SIZE_MAX_HERE 600
#define PIECES        40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* Copies into memory of exactly that size, so that a byte too far is seen. */
static size_t read_exactly(const struct ring *ring, size_t capacity, char **ret_copy,
                           uint64_t *ret_total)
{
	bool cut;
	char *copy = malloc(capacity + 1);
	char *exact = malloc(capacity > 0 ? capacity : 1);
	require(copy != NULL && exact != NULL);
	size_t length = ring_read(ring, exact, capacity, ret_total, &cut);
	require(length <= capacity && length <= ring->size && length <= *ret_total);
	require(cut == (length < *ret_total));
	memcpy(copy, exact, length);
	free(exact);
	*ret_copy = copy;
	return length;
}

/* ---- A hostile header ---- */

static void hostile(size_t capacity, size_t ring_size, int flags, const uint8_t *data, size_t size)
{
	size_t memory_size = ring_memory_size(ring_size);
	char *memory = calloc(1, memory_size);
	char *other = calloc(1, ring_memory_size(SIZE_MAX_HERE / 2));
	char *copy = NULL;
	struct ring ring;
	uint64_t total;
	require(memory != NULL && other != NULL);
	memcpy(memory, data, size < memory_size ? size : memory_size);
	if (flags & 1) {
		struct ring_header *header = (struct ring_header *)(void *)memory;
		header->magic = RING_MAGIC;
		header->version = RING_VERSION;
		header->size = ring_size;
	}
	if (ring_open(memory, memory_size, &ring)) {
		require(ring.size == ring_size && ring_size > 0);
		read_exactly(&ring, capacity, &copy, &total);
		free(copy);
		struct ring mine = ring_format(other, ring_memory_size(SIZE_MAX_HERE / 2));
		ring_take_over(&mine, &ring);
		read_exactly(&mine, capacity, &copy, &total);
		free(copy);
		size_t room;
		char *place = ring_reserve(&ring, capacity, &room);
		require(room <= capacity && room <= (ring_size + 1) / 2);
		require(place >= ring.bytes && place + room <= ring.bytes + ring_size);
		memset(place, 'r', room);
		ring_commit(&ring, room, 1);
		ring_write(&ring, (const char *)data, size, 1);
		ring_put(&ring, (const char *)data, size, size);
		size_t length = read_exactly(&ring, capacity, &copy, &total);
		require(total == size && memcmp(copy, data + size - length, length) == 0);
		free(copy);
	}
	free(memory);
	free(other);
}

/* ---- A writer beside the reader ---- */

struct writer {
	struct ring ring;
	unsigned seed;
};

static char byte_number(uint64_t number)
{
	return (char)(number * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

static void *write_pieces(void *argument)
{
	struct writer *writer = argument;
	uint64_t number = 0;
	char piece[2 * SIZE_MAX_HERE];
	for (int i = 0; i < PIECES; i++) {
		size_t length = (size_t)rand_r(&writer->seed) % sizeof piece;
		/* In turn as read(2) would, which may bring less than there is room for. */
		size_t room = length;
		char *place = i % 2 == 0 ? piece : ring_reserve(&writer->ring, length, &room);
		length = i % 2 == 0 ? length : room - room / 3;
		for (size_t k = 0; k < length; k++)
			place[k] = byte_number(number++);
		if (i % 2 == 0)
			ring_write(&writer->ring, piece, length, i);
		else
			ring_commit(&writer->ring, length, i);
	}
	return NULL;
}

static void beside(size_t capacity, size_t ring_size, unsigned seed)
{
	char *memory = calloc(1, ring_memory_size(ring_size));
	require(memory != NULL);
	struct writer writer = {.ring = ring_format(memory, ring_memory_size(ring_size)),
	                        .seed = seed};
	pthread_t thread;
	uint64_t before = 0;
	require(pthread_create(&thread, NULL, write_pieces, &writer) == 0);
	for (int i = 0; i < 2 * PIECES; i++) {
		char *copy;
		uint64_t total;
		size_t length = read_exactly(&writer.ring, capacity, &copy, &total);
		require(total >= before);
		before = total;
		for (size_t k = 0; k < length; k++)
			require(copy[k] == byte_number(total - length + k));
		free(copy);
	}
	pthread_join(thread, NULL);
	free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 5)
		return 0;
	size_t capacity = (size_t)(data[0] | data[1] << 8) % (2 * SIZE_MAX_HERE);
	size_t ring_size = (size_t)(data[2] | data[3] << 8) % SIZE_MAX_HERE;
	hostile(capacity, ring_size, data[4], data + 5, size - 5);
	if (data[4] & 2)
		beside(capacity, ring_size + 1, data[0]);
	return 0;
}
