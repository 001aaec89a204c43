/*
 * failing_malloc: every allocation of a test's program may fail, one after the other. For programs
 * that are linked with --wrap=malloc, calloc, realloc and strdup; included by one file of each.
 */
#ifndef LASTWORD_TESTS_FAILING_MALLOC_H
#define LASTWORD_TESTS_FAILING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static size_t until_failure = SIZE_MAX; /* allocations that succeed before one fails */
static bool goes_on;                    /* all later ones fail too */
static bool failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);

static bool fails(void)
{
	if (until_failure == SIZE_MAX)
		return false;
	if (until_failure > 0) {
		until_failure--;
		return false;
	}
	if (!goes_on)
		until_failure = SIZE_MAX;
	failed = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	return fails() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

static void fail_after(size_t count, bool all)
{
	until_failure = count;
	goes_on = all;
	failed = false;
}

#endif
