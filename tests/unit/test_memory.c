/* When memory runs out: every allocation of a review fails in turn, in malloc and in the arena. The
 * response is always one, and never half a patch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/base64.h"
#include "lib/base/files.h"
#include "tests/unit/failing_malloc.h"
#include "webhook/admission.h"

#define BLOCK ((size_t)128 * 1024) /* an arena's first */

/* ---- A review ---- */

static const char config_text[] =
        "apiVersion: lastword.dev/v1alpha1\n"
        "kind: Config\n"
        "sidecar:\n"
        "  image: w\n"
        "  mode: classic\n"
        "  resources: {requests: {cpu: 5m, memory: 16Mi}, limits: {cpu: 50m, memory: 16Mi}}\n"
        "context: {task_id: label:task-id, repository: env:REPOSITORY}\n"
        "images: [{image: '*', entrypoint: [/$x]}]\n"
        "redact: ['corp_[a-z]{20}']\n"
        "rules:\n"
        "- name: all\n"
        "  resources: {requests: {memory: 1Mi}, limits: {memory: 1Gi}}\n"
        "  deadline: 1h\n";

static const char *const reviews[] = {
        "tests/data/reviews/001-create-pods-argo-determine-resume-point.json",
        "tests/data/reviews/010-create-pods-prestop-exec.json",
        "tests/data/reviews/018-create-pods-annotation-250k.json",
        "tests/data/reviews/036-create-pods-three-agents.json",
        "tests/data/reviews/039-create-pods-command-annotation.json",
};
#define REVIEWS (sizeof reviews / sizeof reviews[0])

static struct config *config;
static struct buffer bodies[REVIEWS];
static char *patches[REVIEWS]; /* of the responses when nothing fails */

static struct admission_response response_in(struct arena *arena, const struct buffer *body)
{
	struct admission_context context = {.config = config};
	struct admission_response response;
	buffer_init(&response.body, ADMISSION_RESPONSE_MAX);
	admission_review(&context, arena, body->data, body->length, &response);
	return response;
}

/* The patch in a response, NULL when there is none; the response must allow. */
static char *patch_of(const struct admission_response *response)
{
	json *root;
	struct error error;
	struct arena *arena = arena_new((size_t)16 * 1024 * 1024);
	assert_non_null(arena);
	assert_int_equal(json_parse(arena, buffer_text(&response->body), response->body.length, 0,
	                            &root, &error),
	                 JSON_FAITHFUL);
	assert_true(json_is_true(json_find(root, "response", "allowed", NULL)));
	const char *text = json_string(json_find(root, "response", "patch", NULL));
	bool warns = json_size(json_find(root, "response", "warnings", NULL)) > 0;
	char *copy = text == NULL ? NULL : strdup(text);
	arena_free(arena);
	assert_true(text != NULL || warns);
	return copy;
}

/* All of the patch, or none and a word why. Returns whether it is there. */
static bool assert_response(const struct admission_response *response, size_t review)
{
	if (response->status != 200) {
		assert_true(response->status == 400 || response->status == 500);
		assert_int_equal(response->status == 400, response->result == ADMISSION_INVALID);
		return false;
	}
	char *patch = patch_of(response);
	if (patch != NULL)
		assert_string_equal(patch, patches[review]);
	bool there = patch != NULL;
	free(patch);
	assert_int_equal(there, response->result == ADMISSION_INJECTED);
	return there;
}

static int setup(void **state)
{
	(void)state;
	struct error error;
	if (!config_parse(config_text, sizeof config_text - 1, &config, &error))
		return 1;
	for (size_t i = 0; i < REVIEWS; i++) {
		buffer_init(&bodies[i], ADMISSION_BODY_MAX);
		if (!file_read(reviews[i], &bodies[i], &error))
			return 1;
		struct arena *arena = arena_new(ADMISSION_ARENA_MAX);
		struct admission_response response = response_in(arena, &bodies[i]);
		patches[i] = response.status == 200 ? patch_of(&response) : NULL;
		buffer_free(&response.body);
		arena_free(arena);
		if (patches[i] == NULL)
			return 1;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < REVIEWS; i++) {
		buffer_free(&bodies[i]);
		free(patches[i]);
	}
	config_free(config);
	return 0;
}

/* ---- Tests ---- */

static void review_with_failure(size_t review, size_t allowed, bool all, bool *ret_failed)
{
	struct arena *arena = arena_new(ADMISSION_ARENA_MAX);
	assert_non_null(arena);
	fail_after(allowed, all);
	struct admission_response response = response_in(arena, &bodies[review]);
	*ret_failed = failed;
	until_failure = SIZE_MAX;
	bool there = assert_response(&response, review);
	assert_true(there || *ret_failed);
	/* A response that nobody has room for is empty: the server says 500. */
	if (response.status == 500)
		assert_true(!buffer_ok(&response.body) || response.body.length > 0);
	buffer_free(&response.body);
	arena_free(arena);
}

static void test_every_malloc_fails_in_turn(void **state)
{
	(void)state;
	for (size_t review = 0; review < REVIEWS; review++)
		for (int all = 0; all < 2; all++) {
			bool any = true;
			size_t allowed = 0;
			for (; any; allowed++)
				review_with_failure(review, allowed, all == 1, &any);
			assert_true(allowed > 2);
		}
}

/* The arena is filled but for a few bytes, then but for some more, until the response is whole:
 * each of its allocations is once the first that finds no room. */
static void test_every_allocation_of_the_arena_fails_in_turn(void **state)
{
	(void)state;
	const size_t step = 48; /* below the size of a node */
	size_t small = 0;
	struct arena *arena = arena_new(BLOCK);
	for (size_t review = 0; review < REVIEWS; review++) {
		if (bodies[review].length > BLOCK / 4)
			continue; /* it needs more than one block */
		size_t without = 0;
		bool there = false;
		for (size_t room = 0; room < BLOCK && !there; room += step) {
			arena_reset(arena);
			assert_non_null(arena_allocate(arena, BLOCK - room));
			struct admission_response response = response_in(arena, &bodies[review]);
			there = assert_response(&response, review);
			without += !there;
			buffer_free(&response.body);
		}
		assert_true(there && without > 100);
		small++;
	}
	arena_free(arena);
	assert_int_equal(small, REVIEWS - 1);
}

static void test_every_allocation_for_a_configuration_fails_in_turn(void **state)
{
	(void)state;
	for (size_t allowed = 0;; allowed++) {
		struct config *read = NULL;
		struct error error = {""};
		fail_after(allowed, false);
		bool good = config_parse(config_text, sizeof config_text - 1, &read, &error);
		bool any = failed;
		until_failure = SIZE_MAX;
		assert_true(good == (read != NULL));
		assert_true(good || error.message[0] != '\0');
		config_free(read);
		if (!any) {
			assert_true(good && allowed > 2);
			return;
		}
	}
}

#define MIB ((size_t)1024 * 1024)

static void test_a_budget_for_several_arenas(void **state)
{
	(void)state;
	struct arena_budget budget = {.limit = 16 * MIB};
	struct arena *first = arena_new_within(&budget);
	struct arena *second = arena_new_within(&budget);
	struct arena *third = arena_new_within(&budget);
	assert_non_null(arena_allocate(first, BLOCK));
	assert_int_equal(budget.used, 0); /* the first block is free */
	assert_non_null(arena_allocate(first, 11 * MIB));
	assert_int_equal(budget.used, 11 * MIB);
	assert_non_null(arena_allocate(second, 1000)); /* what is small always fits */
	assert_null(arena_allocate(second, 2 * MIB));  /* the last quarter is not for it */
	assert_non_null(arena_allocate(second, MIB));
	assert_null(arena_allocate(first, 1));
	assert_non_null(arena_allocate(third, BLOCK));
	assert_non_null(arena_allocate(third, 1)); /* but for a small one */
	assert_int_equal(budget.used, 13 * MIB);
	arena_reset(first);
	assert_int_equal(budget.used, 2 * MIB);
	assert_non_null(arena_allocate(second, 10 * MIB));
	assert_non_null(arena_allocate(first, BLOCK));

	fail_after(0, true);
	arena_reset(second);
	assert_null(arena_allocate(second, 2 * MIB)); /* no memory takes no share */
	until_failure = SIZE_MAX;
	arena_free(second);
	arena_free(third);
	assert_int_equal(budget.used, 0);
	arena_free(first);
	assert_int_equal(budget.used, 0);
}

static void test_shares_of_a_budget(void **state)
{
	(void)state;
	struct arena_budget whole = {.limit = 16 * MIB};
	struct arena_budget shares[] = {{.limit = 8 * MIB, .whole = &whole},
	                                {.limit = 8 * MIB, .whole = &whole}};
	struct arena *first = arena_new_within(&whole);
	struct arena *second = arena_new_within(&whole);
	arena_use_budget(first, &shares[0]);
	arena_use_budget(second, &shares[1]);
	assert_non_null(arena_allocate(first, BLOCK));
	assert_non_null(arena_allocate(second, BLOCK));
	assert_null(arena_allocate(first, 9 * MIB));
	assert_non_null(arena_allocate(first, 8 * MIB));
	assert_null(arena_allocate(second, 5 * MIB)); /* 12 of the whole */
	assert_non_null(arena_allocate(second, 4 * MIB));
	assert_int_equal(shares[0].used, 8 * MIB);
	assert_int_equal(shares[1].used, 4 * MIB);
	assert_int_equal(whole.used, 12 * MIB);
	arena_reset(first);
	arena_use_budget(first, &shares[1]);
	assert_non_null(arena_allocate(first, BLOCK));
	assert_null(arena_allocate(first, 5 * MIB));
	assert_non_null(arena_allocate(first, 4 * MIB));
	arena_free(first);
	arena_free(second);
	assert_int_equal(shares[0].used + shares[1].used + whole.used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_every_malloc_fails_in_turn),
	        cmocka_unit_test(test_every_allocation_of_the_arena_fails_in_turn),
	        cmocka_unit_test(test_every_allocation_for_a_configuration_fails_in_turn),
	        cmocka_unit_test(test_a_budget_for_several_arenas),
	        cmocka_unit_test(test_shares_of_a_budget),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
