#include "lib/base/ring.h"

#include <string.h>

_Static_assert(sizeof(struct ring_header) == 64, "the header is the same in every build");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "shared between processes: no hidden locks");

size_t ring_memory_size(size_t size)
{
	return sizeof(struct ring_header) + size;
}

static struct ring view(void *memory, size_t memory_size)
{
	return (struct ring){.header = memory,
	                     .bytes = (char *)memory + sizeof(struct ring_header),
	                     .size = memory_size - sizeof(struct ring_header)};
}

struct ring ring_format(void *memory, size_t memory_size)
{
	struct ring ring = view(memory, memory_size);
	memset(ring.header, 0, sizeof *ring.header);
	ring.header->magic = RING_MAGIC;
	ring.header->version = RING_VERSION;
	ring.header->size = ring.size;
	return ring;
}

bool ring_open(void *memory, size_t memory_size, struct ring *ret_ring)
{
	if (memory_size <= sizeof(struct ring_header) ||
	    memory_size > ring_memory_size(RING_SIZE_MAX))
		return false;
	struct ring ring = view(memory, memory_size);
	if (ring.header->magic != RING_MAGIC || ring.header->version != RING_VERSION ||
	    ring.header->size != ring.size)
		return false;
	*ret_ring = ring;
	return true;
}

/* Copies length <= size bytes between the ring, from byte number position on, and plain memory. */
static void put(struct ring *ring, uint64_t position, const char *from, size_t length)
{
	if (length == 0)
		return;
	size_t start = (size_t)(position % ring->size);
	size_t first = length < ring->size - start ? length : ring->size - start;
	memcpy(ring->bytes + start, from, first);
	memcpy(ring->bytes, from + first, length - first);
}

static void get(const struct ring *ring, uint64_t position, char *to, size_t length)
{
	if (length == 0)
		return;
	size_t start = (size_t)(position % ring->size);
	size_t first = length < ring->size - start ? length : ring->size - start;
	memcpy(to, ring->bytes + start, first);
	memcpy(to + first, ring->bytes, length - first);
}

void ring_put(struct ring *ring, const char *bytes, size_t length, uint64_t total)
{
	struct ring_header *header = ring->header;
	size_t kept = length < ring->size ? length : ring->size;

	if (total - length != atomic_load_explicit(&header->committed, memory_order_relaxed))
		atomic_store_explicit(&header->first, total - kept, memory_order_relaxed);
	atomic_store_explicit(&header->reserved, total, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	put(ring, total - kept, bytes + (length - kept), kept);
	atomic_store_explicit(&header->committed, total, memory_order_release);
}

void ring_write(struct ring *ring, const char *bytes, size_t length, int64_t now)
{
	uint64_t total = atomic_load_explicit(&ring->header->committed, memory_order_relaxed);
	atomic_store_explicit(&ring->header->last_output, now, memory_order_relaxed);
	ring_put(ring, bytes, length, total + length);
}

char *ring_reserve(struct ring *ring, size_t length, size_t *ret_length)
{
	struct ring_header *header = ring->header;
	uint64_t total = atomic_load_explicit(&header->committed, memory_order_relaxed);
	size_t start = (size_t)(total % ring->size);
	if (length > ring->size / 2)
		length = ring->size / 2;
	if (length > ring->size - start)
		length = ring->size - start;
	atomic_store_explicit(&header->reserved, total + length, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	*ret_length = length;
	return ring->bytes + start;
}

void ring_commit(struct ring *ring, size_t length, int64_t now)
{
	struct ring_header *header = ring->header;
	uint64_t total = atomic_load_explicit(&header->committed, memory_order_relaxed) + length;
	atomic_store_explicit(&header->last_output, now, memory_order_relaxed);
	atomic_store_explicit(&header->committed, total, memory_order_release);
	/* What was reserved and not written is as it was. */
	atomic_store_explicit(&header->reserved, total, memory_order_relaxed);
}

void ring_take_over(struct ring *ring, const struct ring *from)
{
	uint64_t total = atomic_load_explicit(&from->header->committed, memory_order_relaxed);
	int64_t last = atomic_load_explicit(&from->header->last_output, memory_order_relaxed);
	uint64_t first = atomic_load_explicit(&from->header->first, memory_order_relaxed);
	uint64_t held = total > first ? total - first : 0;
	size_t kept = ring->size < from->size ? ring->size : from->size;
	if (kept > held)
		kept = (size_t)held;
	uint64_t position = total - kept;

	atomic_store_explicit(&ring->header->first, position, memory_order_relaxed);
	atomic_store_explicit(&ring->header->reserved, total, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	/* In pieces from one ring's place to the other's. */
	for (size_t done = 0; done < kept;) {
		char piece[512];
		size_t length = kept - done < sizeof piece ? kept - done : sizeof piece;
		get(from, position + done, piece, length);
		put(ring, position + done, piece, length);
		done += length;
	}
	atomic_store_explicit(&ring->header->last_output, last, memory_order_relaxed);
	atomic_store_explicit(&ring->header->committed, total, memory_order_release);
}

size_t ring_read(const struct ring *ring, char *out, size_t capacity, uint64_t *ret_total,
                 bool *ret_cut)
{
	uint64_t total = atomic_load_explicit(&ring->header->committed, memory_order_acquire);
	uint64_t first = atomic_load_explicit(&ring->header->first, memory_order_relaxed);
	uint64_t held = total > first ? total - first : 0;
	size_t length = capacity < ring->size ? capacity : ring->size;
	if (length > held)
		length = (size_t)held;
	uint64_t start = total - length;
	get(ring, start, out, length);

	atomic_thread_fence(memory_order_acquire);
	uint64_t reserved = atomic_load_explicit(&ring->header->reserved, memory_order_relaxed);
	/* Byte numbers below `oldest` may have been run over. A reserved below total is a lie. */
	uint64_t oldest = reserved > ring->size ? reserved - ring->size : 0;
	if (oldest > start) {
		size_t lost = oldest - start < length ? (size_t)(oldest - start) : length;
		memmove(out, out + lost, length - lost);
		length -= lost;
		start += lost;
	}
	*ret_total = total;
	*ret_cut = start > 0;
	return length;
}
