/*
 * arena: memory that is given back all at once. Whatever a request, a document or a configuration
 * needs is taken from one arena; nothing is freed singly, so nothing leaks, and a ceiling bounds
 * what hostile input can cost.
 *
 * An arena serves one thread at a time. Every allocation returns NULL past the arena's limit, past
 * its budget, and when there is no memory; the arena is as good as before then.
 */
#ifndef LASTWORD_LIB_DOCUMENT_ARENA_H
#define LASTWORD_LIB_DOCUMENT_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define ARENA_ALIGNMENT 16

/* For arena.c, and for arena_take(), which is inline since a review takes hundreds of small parts.
 */
struct arena {
	unsigned char *free; /* of the newest block */
	size_t free_size;    /* a multiple of the alignment */
	struct block *newest;
	size_t allocated; /* memory of all blocks */
	size_t limit;
	struct arena_budget *budget; /* NULL: none */
	bool secret;                 /* memory is wiped before it is given back */
};

/* limit: how many bytes the arena may allocate. NULL when there is no memory. */
struct arena *arena_new(size_t limit);

/* A common ceiling for the arenas of several threads. Each arena's first block (128 KiB) does not
 * count, and the last quarter is for arenas that have no more than a sixteenth of the budget, so
 * small requests always fit, whatever the large ones take. It outlives its arenas. */
struct arena_budget {
	size_t limit;
	_Atomic size_t used;
	struct arena_budget *whole; /* the budget that this one is a share of; NULL: none */
};
struct arena *arena_new_within(struct arena_budget *budget);
/* From now on the arena, which has just been made or reset, takes of this budget. */
void arena_use_budget(struct arena *arena, struct arena_budget *budget);
/* An arena for texts that contain keys: its memory is wiped before it is freed or used again. */
struct arena *arena_new_secret(size_t limit);
/* Frees everything that was allocated, except one block that is kept for the next use. */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);
static inline void arena_cleanup(struct arena **arena)
{
	arena_free(*arena);
}
#define _cleanup_arena_ __attribute__((cleanup(arena_cleanup)))

static inline size_t arena_round(size_t size)
{
	return (size + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
}

/* Memory as it is, aligned for anything; NULL past the limit. */
void *arena_take_slowly(struct arena *arena, size_t size);
static inline void *arena_take(struct arena *arena, size_t size)
{
	if (size >= arena->free_size)
		return arena_take_slowly(arena, size);
	void *memory = arena->free;
	arena->free += arena_round(size);
	arena->free_size -= arena_round(size);
	return memory;
}
/* arena_take() with zeroes. */
static inline void *arena_allocate(struct arena *arena, size_t size)
{
	void *memory = arena_take(arena, size);
	return memory == NULL ? NULL : memset(memory, 0, size);
}
/* A copy of length bytes and a NUL. */
char *arena_copy(struct arena *arena, const char *text, size_t length);
char *arena_printf(struct arena *arena, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
/* The three texts in a row: quicker than arena_printf(). */
char *arena_join(struct arena *arena, const char *first, const char *between, const char *last);

#endif
