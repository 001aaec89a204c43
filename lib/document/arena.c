#include "lib/document/arena.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Blocks with a bump pointer. One admission review of usual size fits the first block, which a
 * reset keeps. Further ones are of a size that malloc maps, so that freeing gives them back. */
#define BLOCK_SIZE       ((size_t)128 * 1024)
#define LARGE_BLOCK_SIZE ((size_t)1024 * 1024)

struct block {
	struct block *next; /* older */
	size_t size;        /* bytes at memory */
	_Alignas(ARENA_ALIGNMENT) unsigned char memory[];
};

/* What an arena with so many bytes takes of its budget: the first block is free. */
static size_t share(size_t allocated)
{
	return allocated > BLOCK_SIZE ? allocated - BLOCK_SIZE : 0;
}

/* An arena that has no more than a sixteenth of a budget may use its last quarter. */
#define RESERVE_SHARE 4
#define SMALL_SHARE   16

/* Takes so many bytes for an arena that has total with them. */
static bool take_of(struct arena_budget *budget, size_t bytes, size_t total)
{
	bool small = total <= budget->limit / SMALL_SHARE;
	size_t limit = small ? budget->limit : budget->limit - budget->limit / RESERVE_SHARE;
	if (atomic_fetch_add(&budget->used, bytes) + bytes <= limit)
		return true;
	atomic_fetch_sub(&budget->used, bytes);
	return false;
}

/* Takes of a budget and of the whole that it is a share of. */
static bool take_of_both(struct arena_budget *budget, size_t bytes, size_t total)
{
	if (budget->whole == NULL)
		return take_of(budget, bytes, total);
	if (atomic_fetch_add(&budget->used, bytes) + bytes <= budget->limit &&
	    take_of(budget->whole, bytes, total))
		return true;
	atomic_fetch_sub(&budget->used, bytes);
	return false;
}

static void give_back(struct arena_budget *budget, size_t bytes)
{
	atomic_fetch_sub(&budget->used, bytes);
	if (budget->whole != NULL)
		atomic_fetch_sub(&budget->whole->used, bytes);
}

/* The arena is to have so many bytes; false: its limit or its budget does not allow it. */
static bool set_allocated(struct arena *arena, size_t allocated)
{
	struct arena_budget *budget = arena->budget;
	if (allocated > arena->limit)
		return false;
	size_t less = share(arena->allocated);
	size_t more = share(allocated);
	if (budget != NULL && more > less && !take_of_both(budget, more - less, more))
		return false;
	if (budget != NULL && more < less)
		give_back(budget, less - more);
	arena->allocated = allocated;
	return true;
}

/* The block whose memory is taken from now on. */
static void use_block(struct arena *arena, struct block *block)
{
	arena->newest = block;
	arena->free = block == NULL ? NULL : block->memory;
	arena->free_size = block == NULL ? 0 : block->size;
}

void *arena_take_slowly(struct arena *arena, size_t size)
{
	if (size > SIZE_MAX / 2)
		return NULL;
	if (arena->newest == NULL || size > arena->free_size) {
		size_t rounded = arena_round(size);
		size_t usual = arena->newest == NULL ? BLOCK_SIZE : LARGE_BLOCK_SIZE;
		size_t block_size = rounded > usual ? rounded : usual;
		size_t before = arena->allocated;
		if (!set_allocated(arena, before + block_size))
			return NULL;
		struct block *block = malloc(sizeof *block + block_size);
		if (block == NULL) {
			set_allocated(arena, before);
			return NULL;
		}
		block->next = arena->newest;
		block->size = block_size;
		use_block(arena, block);
	}
	void *memory = arena->free;
	arena->free += arena_round(size);
	arena->free_size -= arena_round(size);
	return memory;
}

struct arena *arena_new(size_t limit)
{
	struct arena *arena = calloc(1, sizeof *arena);
	if (arena != NULL)
		arena->limit = limit < BLOCK_SIZE ? BLOCK_SIZE : limit;
	return arena;
}

struct arena *arena_new_within(struct arena_budget *budget)
{
	struct arena *arena = arena_new(BLOCK_SIZE + budget->limit);
	if (arena != NULL)
		arena->budget = budget;
	return arena;
}

void arena_use_budget(struct arena *arena, struct arena_budget *budget)
{
	arena->budget = budget;
	arena->limit = BLOCK_SIZE + budget->limit;
}

struct arena *arena_new_secret(size_t limit)
{
	struct arena *arena = arena_new(limit);
	if (arena != NULL)
		arena->secret = true;
	return arena;
}

static void wipe_block(const struct arena *arena, struct block *block)
{
	if (arena->secret)
		explicit_bzero(block->memory, block->size);
}

void arena_reset(struct arena *arena)
{
	struct block *keep = NULL;
	struct block *block = arena->newest;
	while (block != NULL) {
		struct block *next = block->next;
		wipe_block(arena, block);
		if (keep == NULL && block->size == BLOCK_SIZE)
			keep = block;
		else
			free(block);
		block = next;
	}
	if (keep != NULL)
		keep->next = NULL;
	use_block(arena, keep);
	set_allocated(arena, keep == NULL ? 0 : keep->size);
}

void arena_free(struct arena *arena)
{
	if (arena == NULL)
		return;
	for (struct block *block = arena->newest; block != NULL;) {
		struct block *next = block->next;
		wipe_block(arena, block);
		free(block);
		block = next;
	}
	set_allocated(arena, 0);
	free(arena);
}

char *arena_copy(struct arena *arena, const char *text, size_t length)
{
	if (length == SIZE_MAX)
		return NULL;
	char *copy = arena_take(arena, length + 1);
	if (copy == NULL)
		return NULL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	va_list again;
	va_copy(again, arguments);
	int length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);

	char *text = length < 0 ? NULL : arena_take(arena, (size_t)length + 1);
	if (text != NULL)
		vsnprintf(text, (size_t)length + 1, format, again);
	va_end(again);
	return text;
}

char *arena_join(struct arena *arena, const char *first, const char *between, const char *last)
{
	size_t lengths[] = {strlen(first), strlen(between), strlen(last)};
	char *text = arena_take(arena, lengths[0] + lengths[1] + lengths[2] + 1);
	if (text == NULL)
		return NULL;
	memcpy(text, first, lengths[0]);
	memcpy(text + lengths[0], between, lengths[1]);
	memcpy(text + lengths[0] + lengths[1], last, lengths[2] + 1);
	return text;
}
