/* What a review may cost: whatever lists a client makes long, one or two at a time, the nodes that
 * are looked at grow with the bytes; and a budget holds where an administrator's rules multiply
 * with a client's lists. Counted, never timed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/worst_pods.h"
#include "webhook/admission.h"

#define REVIEW_MAX ((size_t)4 * 1024 * 1024)

static struct config *shipped;
static struct arena *arena;

struct outcome {
	size_t bytes;
	uint64_t work;
	uint64_t reasons;
	enum admission_result result;
	bool allowed;
	bool patched;
	bool warned;
};

static void review(const struct config *config, const struct buffer *body, struct outcome *outcome)
{
	json *root;
	struct error error;
	struct admission_context context = {.config = config};
	struct admission_response response;
	assert_true(buffer_ok(body));
	buffer_init(&response.body, ADMISSION_RESPONSE_MAX);
	admission_review(&context, arena, body->data, body->length, &response);
	assert_int_equal(response.status, 200);
	assert_true(json_work_left() > UINT64_MAX / 2); /* no limit is left behind */
	if (json_parse(arena, buffer_text(&response.body), response.body.length, 0, &root,
	               &error) != JSON_FAITHFUL)
		fail_msg("%s", error.message);
	const json *inner = json_get(root, "response");
	*outcome = (struct outcome){.bytes = body->length,
	                            .work = response.work,
	                            .reasons = response.reasons,
	                            .result = response.result,
	                            .allowed = json_is_true(json_get(inner, "allowed")),
	                            .patched = json_get(inner, "patch") != NULL,
	                            .warned = json_size(json_get(inner, "warnings")) > 0};
	buffer_free(&response.body);
	arena_reset(arena);
}

static void review_worst(const struct worst_list *const *lists, size_t count, size_t bytes,
                         struct outcome *outcome)
{
	struct buffer _cleanup_buffer_ body;
	buffer_init(&body, REVIEW_MAX);
	worst_review(&body, lists, count, bytes);
	review(shipped, &body, outcome);
	assert_true(outcome->allowed);
	if (outcome->reasons & UINT64_C(1) << REASON_TOO_MUCH_WORK)
		fail_msg("%s, %s: more than the budget", lists[0]->name, lists[count - 1]->name);
}

/* Twice the bytes are at most twice the work, and each byte is worth a few nodes. */
static void check_lists(const struct worst_list *const *lists, size_t count)
{
	enum { BYTES = 16 * 1024, FIXED = 8000, NODES_PER_BYTE = 4 };
	struct outcome once;
	struct outcome twice;
	review_worst(lists, count, BYTES, &once);
	review_worst(lists, count, 2 * (size_t)BYTES, &twice);
	if (twice.work > 2 * once.work + FIXED)
		fail_msg("%s, %s: %zu bytes %ju nodes, %zu bytes %ju", lists[0]->name,
		         lists[count - 1]->name, once.bytes, (uintmax_t)once.work, twice.bytes,
		         (uintmax_t)twice.work);
	if (twice.work > NODES_PER_BYTE * twice.bytes + FIXED)
		fail_msg("%s, %s: %zu bytes cost %ju nodes", lists[0]->name, lists[count - 1]->name,
		         twice.bytes, (uintmax_t)twice.work);
}

static void test_each_list(void **state)
{
	(void)state;
	for (size_t i = 0; i < WORST_LISTS; i++)
		check_lists((const struct worst_list *const[]){&worst_lists[i]}, 1);
}

static void test_each_pair_of_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < WORST_LISTS; i++)
		for (size_t j = i + 1; j < WORST_LISTS; j++)
			check_lists((const struct worst_list *const[]){&worst_lists[i],
			                                               &worst_lists[j]},
			            2);
}

/* All at once, as large as a pod can be. */
static void test_everything_long(void **state)
{
	(void)state;
	struct outcome outcome;
	const struct worst_list *all[WORST_LISTS];
	size_t count = 0;
	for (size_t i = 0; i < WORST_LISTS; i++)
		if (strstr(worst_lists[i].begin, "affinity") == NULL &&
		    strcmp(worst_lists[i].begin, "\"x\":{") != 0)
			all[count++] = &worst_lists[i];
	review_worst(all, count, (size_t)1400 * 1024, &outcome);
	assert_false(outcome.patched);
}

/* ---- The budget ---- */

enum { RULES = 3000, LABELS = 20000 };

static struct config *config_of_many_rules(void)
{
	struct config *config;
	struct error error;
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, REVIEW_MAX);
	buffer_append_text(&text,
	                   "apiVersion: lastword.dev/v1alpha1\nkind: Config\n"
	                   "sidecar: {image: w, resources: {requests: {cpu: 5m, memory: 16Mi},"
	                   " limits: {cpu: 50m, memory: 16Mi}}}\nrules:\n");
	for (int i = 0; i < RULES; i++)
		buffer_printf(&text,
		              "- name: r%d\n  match: {matchExpressions: "
		              "[{key: no%d, operator: Exists}]}\n",
		              i, i);
	buffer_append_text(&text, "- name: all\n");
	if (!config_parse(buffer_text(&text), text.length, &config, &error))
		fail_msg("%s", error.message);
	return config;
}

static void pod_with_labels(struct buffer *body, int labels)
{
	buffer_append_text(body, "{\"kind\":\"AdmissionReview\",\"apiVersion\":"
	                         "\"admission.k8s.io/v1\",\"request\":{\"uid\":\"u\",\"operation\":"
	                         "\"CREATE\",\"resource\":{\"group\":\"\",\"version\":\"v1\","
	                         "\"resource\":\"pods\"},\"object\":{\"metadata\":{\"labels\":{");
	for (int i = 0; i < labels; i++)
		buffer_printf(body, "%s\"l%d\":\"\"", i == 0 ? "" : ",", i);
	buffer_append_text(body, "}},\"spec\":{\"containers\":[{\"name\":\"main\",\"command\":"
	                         "[\"x\"]}]}}}}");
}

static void review_labels(const struct config *config, int labels, struct outcome *outcome)
{
	struct buffer _cleanup_buffer_ body;
	buffer_init(&body, REVIEW_MAX);
	pod_with_labels(&body, labels);
	review(config, &body, outcome);
}

static void test_more_work_than_the_budget(void **state)
{
	(void)state;
	struct outcome outcome;
	struct config *config = config_of_many_rules();
	const uint64_t most = ADMISSION_WORK_BASE +
	                      (uint64_t)ADMISSION_WORK_PER_NODE * (LABELS + 20) +
	                      (uint64_t)ADMISSION_WORK_PER_LOOKUP * 2 * (RULES + 1);
	review_labels(config, LABELS, &outcome);
	assert_int_equal(outcome.result, ADMISSION_VERIFICATION_FAILED);
	assert_true(outcome.reasons == UINT64_C(1) << REASON_TOO_MUCH_WORK);
	assert_true(outcome.allowed && outcome.warned && !outcome.patched);
	assert_true(outcome.work <= most && outcome.work > most / 2);

	/* The next review has a budget of its own; a usual pod meets as many rules. */
	review_labels(config, 30, &outcome);
	assert_int_equal(outcome.result, ADMISSION_INJECTED);
	assert_true(outcome.patched);
	config_free(config);
}

static int setup(void **state)
{
	(void)state;
	struct error error;
	arena = arena_new(ADMISSION_ARENA_MAX);
	return arena != NULL && config_load("manifests/base/config.yaml", &shipped, &error) ? 0 : 1;
}

static int teardown(void **state)
{
	(void)state;
	config_free(shipped);
	arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_each_list),
	        cmocka_unit_test(test_each_pair_of_lists),
	        cmocka_unit_test(test_everything_long),
	        cmocka_unit_test(test_more_work_than_the_budget),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
