/* The ends on a lost node: recorded at once, since nobody responses for its logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "observer/evidence/evidence.h"

static void ignore(void *context)
{
	(void)context;
}

/* The first request that comes of an end of which nobody tells more; its path. */
static void first_request(const char *disruption, char ret_path[256])
{
	struct engine engine;
	struct publisher publisher;
	struct deaths deaths;
	struct live live;
	const struct end end = {.kind = END_UNSEEN,
	                        .namespace = "a",
	                        .pod = "coder",
	                        .uid = "12345678-0",
	                        .container = "main",
	                        .disruption = disruption,
	                        .watched = true,
	                        .final = true};
	struct meters *meters = meters_new();
	assert_non_null(meters);
	engine_init(&engine, 1, 8);
	publisher_init(&publisher, &engine, meters, SECOND, ignore, NULL);
	publisher_set_leader(&publisher, true);
	deaths_init(&deaths, &engine, meters, &publisher, ignore, NULL);
	assert_true(live_init(&live));
	struct live_pod *pod = live_add(&live, &end, 1);
	assert_non_null(pod);
	assert_true(death_open(&deaths, pod, &end, false));
	engine_fire(&engine);
	const struct request *request = engine_take(&engine);
	assert_non_null(request);
	snprintf(ret_path, 256, "%s %s", request->ask.method == NULL ? "GET" : request->ask.method,
	         request->ask.path);
	deaths_free(&deaths);
	publisher_free(&publisher);
	live_free(&live);
	engine_free(&engine);
	meters_free(meters);
}

static void test_no_logs_of_a_lost_node(void **state)
{
	(void)state;
	char path[256];
	first_request("DeletionByTaintManager", path);
	assert_string_equal(path, "POST /apis/lastword.dev/v1alpha1/namespaces/a/agentexits");
	first_request(NULL, path);
	assert_non_null(strstr(path, "/pods/coder/log?"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_logs_of_a_lost_node)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
