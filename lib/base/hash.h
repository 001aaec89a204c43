/*
 * hash: FNV-1a, 64 bits (Fowler, Noll, Vo): spreads texts over tables and names contents. Whoever
 * chooses the texts can make them collide, so a table must stay bounded when they do. Pure.
 */
#ifndef LASTWORD_LIB_BASE_HASH_H
#define LASTWORD_LIB_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START  UINT64_C(0xcbf29ce484222325)
#define HASH_FACTOR UINT64_C(0x100000001b3)

static inline uint64_t hash_add(uint64_t hash, const void *bytes, size_t length)
{
	const unsigned char *byte = bytes;
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ byte[i]) * HASH_FACTOR;
	return hash;
}

static inline uint64_t hash_bytes(const void *bytes, size_t length)
{
	return hash_add(HASH_START, bytes, length);
}

static inline uint64_t hash_text(const char *text)
{
	uint64_t hash = HASH_START;
	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * HASH_FACTOR;
	return hash;
}

/* The low bits of such a hash spread worst: the upper half is folded into them. */
static inline size_t hash_fold(uint64_t hash)
{
	return (size_t)(hash ^ hash >> 32);
}

static inline size_t hash_place(uint64_t hash, size_t places)
{
	return hash_fold(hash) % places;
}

#endif
