/*
 * ring: the last bytes of an agent's output, in memory that two processes share.
 *
 * One writer (the shim), any number of readers (the watchdog). The memory is a header and `size`
 * bytes; totals count every byte ever written and never wrap in practice (64 bits), the byte number
 * n lives at n % size.
 *
 * Invariants and memory ordering (a seqlock whose sequence is the position):
 *  - The writer first raises `reserved` (then a release fence), writes the bytes, then raises
 *    `committed` (release). So a reader that sees a new byte in an old byte's place also sees the
 *    `reserved` that claimed the place.
 *  - A reader loads `committed` (acquire), copies, then (acquire fence) loads `reserved`: what lies
 *    more than `size` below it may have been overwritten during the copy and is dropped.
 *  - A ring may begin in the middle of the output, with the end of another ring: bytes below
 *    `first` were never written to it and are not read. It is raised before `committed`.
 *  - A writer that died anywhere leaves the bytes below `committed` intact, save the ones that its
 *    last reservation claimed: they are dropped in the same way.
 *
 * The reader trusts nothing: whatever the header says, it stays inside the memory it was given, and
 * it takes size from its own mapping, never from the header. The memory must not be able to shrink
 * (a sealed memfd): else reading raises SIGBUS.
 */
#ifndef LASTWORD_LIB_BASE_RING_H
#define LASTWORD_LIB_BASE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_MAGIC    UINT32_C(0x676e694c) /* "Ling" */
#define RING_VERSION  1
#define RING_SIZE_MAX ((size_t)16 * 1024 * 1024)

struct ring_header {
	uint32_t magic;
	uint32_t version;
	uint64_t size;
	_Atomic uint64_t reserved;   /* bytes claimed by the writer, since the agent's start */
	_Atomic uint64_t committed;  /* bytes written */
	_Atomic int64_t last_output; /* CLOCK_MONOTONIC nanoseconds; 0: none yet */
	_Atomic uint64_t first;      /* number of the oldest byte that was ever written here */
	uint64_t unused[2];          /* the bytes begin on a cache line: copying takes less */
};

/* A view of the memory; plain data, owns nothing. header NULL: no ring. */
struct ring {
	struct ring_header *header;
	char *bytes;
	size_t size;
};

/* Memory that a ring of size bytes needs. */
size_t ring_memory_size(size_t size);

/* Makes an empty ring that fills memory of memory_size bytes (aligned to 8, above the header's). */
struct ring ring_format(void *memory, size_t memory_size);

/* The ring in memory that another process made. false: it is not of this version; its size is
 * taken from memory_size all the same. */
bool ring_open(void *memory, size_t memory_size, struct ring *ret_ring);

/* Writer: appends; of more than size bytes the last ones are kept, all are counted. */
void ring_write(struct ring *ring, const char *bytes, size_t length, int64_t now);

/*
 * Writer: the place where the next bytes go, for read(2) to write to: at most length of them,
 * *ret_length are in one piece, and no more than half of the ring: a writer that never comes back
 * leaves the other half. ring_commit() counts as many of them as were written.
 */
char *ring_reserve(struct ring *ring, size_t length, size_t *ret_length);
void ring_commit(struct ring *ring, size_t length, int64_t now);

/* Writer: makes bytes the end of what the ring holds, total (>= length) the count of all. If they
 * do not follow what the ring holds, that is dropped. */
void ring_put(struct ring *ring, const char *bytes, size_t length, uint64_t total);

/* Writer: begins an empty ring with the content and the count of another one. */
void ring_take_over(struct ring *ring, const struct ring *from);

/*
 * Reader: copies the newest bytes, at most capacity of them, and returns how many. *ret_total is
 * the count of all bytes ever written; the copy is its end. *ret_cut: the copy does not begin where
 * the output began.
 */
size_t ring_read(const struct ring *ring, char *out, size_t capacity, uint64_t *ret_total,
                 bool *ret_cut);

#endif
