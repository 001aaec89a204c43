/* The webhook's cache of what images run: its states, its bounds, its shares. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "webhook/image_cache.h"

static struct arena *arena;
static struct image_cache *cache;

static int setup(void **state)
{
	(void)state;
	arena = arena_new((size_t)64 * 1024 * 1024);
	cache = image_cache_new();
	return arena == NULL || cache == NULL;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(arena);
	image_cache_free(cache);
	return 0;
}

/* The number-th image. */
static const char *image(unsigned number)
{
	static char text[IMAGE_NAME_SIZE];
	snprintf(text, sizeof text, "registry.example.com/a@sha256:%064x", number);
	return text;
}

static bool find(const char *namespace, const char *name)
{
	struct strings entrypoint;
	struct strings cmd;
	return image_cache_find(cache, arena, namespace, name, &entrypoint, &cmd);
}

static bool take(int64_t now, const char *expected)
{
	char name[IMAGE_NAME_SIZE];
	int64_t next;
	if (!image_cache_take(cache, now, name, &next))
		return false;
	if (expected != NULL)
		assert_string_equal(name, expected);
	return true;
}

static bool put(const char *name)
{
	const char *texts[] = {"/bin/a", "", "--x"};
	const struct strings entrypoint = {texts, 2};
	const struct strings cmd = {texts + 2, 1};
	return image_cache_put(cache, name, &entrypoint, &cmd);
}

static void test_states(void **state)
{
	struct strings entrypoint;
	struct strings cmd;
	(void)state;
	assert_false(take(0, NULL));
	assert_false(find("a", image(1)));
	assert_true(take(0, image(1)));
	assert_false(take(0, NULL)); /* it is taken */
	assert_false(find("a", image(1)));
	assert_true(put(image(1)));
	assert_true(image_cache_find(cache, arena, "b", image(1), &entrypoint, &cmd));
	assert_int_equal(entrypoint.count, 2);
	assert_string_equal(entrypoint.items[0], "/bin/a");
	assert_string_equal(entrypoint.items[1], "");
	assert_int_equal(cmd.count, 1);
	assert_string_equal(cmd.items[0], "--x");
	assert_false(take(INT64_MAX - 1, NULL));
}

/* Again only after the wait, and only if somebody asked since; the wait doubles up to its bound. */
static void test_failures(void **state)
{
	int64_t now = 0;
	int64_t wait = IMAGE_RETRY_FIRST;
	(void)state;
	find("a", image(1));
	assert_true(take(now, NULL));
	for (int i = 0; i < 12; i++) {
		image_cache_fail(cache, image(1), now);
		assert_false(take(now + 2 * IMAGE_RETRY_MAX, NULL));
		assert_false(find("a", image(1)));
		char name[IMAGE_NAME_SIZE];
		int64_t next;
		assert_false(image_cache_take(cache, now, name, &next));
		assert_int_equal(next, now + wait);
		assert_false(take(now + wait - 1, NULL));
		now += wait;
		assert_true(take(now, image(1)));
		wait = wait * 2 > IMAGE_RETRY_MAX ? IMAGE_RETRY_MAX : wait * 2;
	}
	assert_true(put(image(1)));
	assert_true(find("a", image(1)));
}

static void test_what_is_not_taken(void **state)
{
	char name[IMAGE_NAME_SIZE + 100];
	(void)state;
	assert_false(image_cache_takes("registry.example.com/a:v1"));
	assert_false(image_cache_takes("registry.example.com/a@sha256:12"));
	snprintf(name, sizeof name, "%0600d@sha256:%064d", 0, 0);
	assert_false(image_cache_takes(name));
	assert_false(find("a", name));
	assert_false(find("a", "registry.example.com/a:v1"));
	assert_false(take(0, NULL));
}

static void test_a_command_that_is_too_long(void **state)
{
	static char text[IMAGE_COMMAND_MAX + 2];
	const char *texts[] = {text};
	const struct strings list = {texts, 1};
	const struct strings none = {texts, 0};
	(void)state;
	memset(text, 'x', IMAGE_COMMAND_MAX - 1);
	find("a", image(1));
	assert_true(take(0, NULL));
	text[IMAGE_COMMAND_MAX - 1] = 'x';
	assert_false(image_cache_put(cache, image(1), &list, &none));
	text[IMAGE_COMMAND_MAX - 1] = '\0';
	assert_true(image_cache_put(cache, image(1), &none, &list));
}

static void learn(const char *namespace, const char *name)
{
	find(namespace, name);
	while (take(0, NULL))
		;
	put(name);
}

/* A namespace that asks for ever new images pushes out its own, never another's. */
static void test_shares(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		learn("victim", image(i));
	for (unsigned i = 0; i < 3 * IMAGE_CACHE_MAX; i++)
		find("attacker", image(1000 + i));
	for (unsigned i = 0; i < 10; i++)
		assert_true(find("victim", image(i)));
	unsigned wanted = 0;
	while (take(0, NULL))
		wanted++;
	assert_int_equal(wanted, IMAGE_CACHE_SHARE);
	/* All of the attacker's are taken, and none can give way: nothing more is noted. */
	assert_false(find("attacker", image(9999)));
	assert_false(take(0, NULL));
	assert_false(find("victim", image(20)));
	assert_true(take(0, image(20)));
}

/* With many namespaces what was asked for longest ago gives way. */
static void test_the_whole_is_bounded(void **state)
{
	char namespace[64];
	(void)state;
	for (unsigned i = 0; i < 2 * IMAGE_CACHE_MAX; i++) {
		snprintf(namespace, sizeof namespace, "n%u", i);
		learn(namespace, image(i));
		assert_true(find("n0", image(0)));
	}
	assert_true(find("n", image(2 * IMAGE_CACHE_MAX - 1)));
	unsigned known = 0;
	for (unsigned i = 0; i < 2 * IMAGE_CACHE_MAX; i++)
		known += find("counter", image(i)) ? 1 : 0;
	assert_in_range(known, 1, IMAGE_CACHE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_states, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_what_is_not_taken, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_a_command_that_is_too_long, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_shares, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_the_whole_is_bounded, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
