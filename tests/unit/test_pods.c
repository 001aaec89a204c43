/* The pods of the manifests in the fuzzer's corpus: found whatever memory there is, or not; every
 * allocation fails in turn. What is found is tested in tests/cli/test_manifests.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <glob.h>

#include "cli/documents.h"
#include "cli/pods.h"
#include "lib/base/buffer.h"

#define CORPUS "tests/fuzz/corpus/manifest/*"
#define BLOCK  ((size_t)128 * 1024) /* an arena's first */
#define STEP   ((size_t)24)         /* less than the smallest node */
#define ENOUGH ((size_t)96 * 1024)

struct visit {
	struct arena *arena;
	size_t pods;
	size_t none;
};

static bool visit_pod(void *context, const struct found_pod *found)
{
	struct visit *visit = context;
	json *pod = pod_as_created(visit->arena, found);
	visit->pods++;
	return pod != NULL;
}

static void visit_none(void *context, const struct no_pod *none)
{
	struct visit *visit = context;
	assert_non_null(none->why);
	visit->none++;
}

/* Everything in the documents; false: an allocation failed. */
static bool visit_all(struct arena *arena, const struct documents *documents, size_t *ret_found)
{
	struct visit visit = {.arena = arena};
	const struct pod_visitor visitor = {visit_pod, visit_none, &visit};
	for (size_t i = 0; i < documents->count; i++)
		if (!pods_visit(arena, documents->items[i].root, &visitor))
			return false;
	*ret_found = visit.pods + visit.none;
	return true;
}

/* An arena of one block that is filled but for that many bytes. */
static void leave_room(struct arena *arena, size_t room)
{
	arena_reset(arena);
	assert_non_null(arena_take(arena, BLOCK - room));
}

/* How often an allocation failed. */
static size_t fill_in_turn(const char *path)
{
	struct documents documents;
	struct error error;
	size_t expected = 0;
	size_t failures = 0;
	if (!documents_load(path, &documents, &error))
		fail_msg("%s", error.message);
	struct arena *large = arena_new((size_t)64 * 1024 * 1024);
	assert_true(visit_all(large, &documents, &expected));
	assert_true(expected >= documents.count);
	struct arena *small = arena_new(BLOCK);
	assert_non_null(small);
	for (size_t room = 0; room <= ENOUGH; room += STEP) {
		size_t found = 0;
		leave_room(small, room);
		if (visit_all(small, &documents, &found))
			assert_int_equal(found, expected);
		else
			failures++;
	}
	arena_free(small);
	arena_free(large);
	documents_free(&documents);
	return failures;
}

static void test_every_allocation_fails_in_turn(void **state)
{
	(void)state;
	glob_t found;
	size_t failures = 0;
	assert_int_equal(glob(CORPUS, 0, NULL, &found), 0);
	assert_true(found.gl_pathc > 15);
	for (size_t i = 0; i < found.gl_pathc; i++)
		failures += fill_in_turn(found.gl_pathv[i]);
	assert_true(failures > 10000);
	globfree(&found);
}

static void test_text_is_no_manifest(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *says; /* NULL: it is taken */
	} cases[] = {
	        {"", "expected a Kubernetes object, got nothing"},
	        {"---\n# nothing\n---\n", "expected a Kubernetes object, got nothing"},
	        {"{}", NULL},
	        {"kind: A\n---\n", NULL},
	        {"text", "document 1 is string, expected a Kubernetes object"},
	        {"[1]", "document 1 is array, expected a Kubernetes object"},
	        {"{} {} 7", "document 3 is number, expected a Kubernetes object"},
	        {"{\"a\": \"\\u0000\"}", "line 1, column 7: a NUL in a string"},
	        {"\xff", "byte 0: not UTF-8"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct documents documents;
		struct error error = {""};
		bool taken =
		        documents_parse(cases[i].text, strlen(cases[i].text), &documents, &error);
		assert_int_equal(taken, cases[i].says == NULL);
		if (taken)
			documents_free(&documents);
		else if (strstr(error.message, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].text, error.message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_every_allocation_fails_in_turn),
	        cmocka_unit_test(test_text_is_no_manifest),
	};
	return cmocka_run_group_tests_name("pods", tests, NULL, NULL);
}
