/* Which requests a success causes, and which it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "observer/record/resolver.h"
#include "tests/unit/loop_world.h"

#define A "00000000000000aa"
#define B "00000000000000bb"

static struct resolver resolver;

static int set_up(void **state)
{
	(void)state;
	world_init();
	if (!resolver_init(&resolver, &world.loop, world.metrics))
		return 1;
	resolver_set_leader(&resolver, true);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	resolver_free(&resolver);
	world_free();
	return 0;
}

#define RECORDS        "/apis/lastword.dev/v1alpha1/namespaces/agents/agentexits"
#define LIST(identity) RECORDS "?labelSelector=lastword.dev%2Fidentity%3D" identity "&limit=20"
#define ITEM(name, finished, status)                                                               \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"agents\"},\"spec\":{\"finishedAt\":" \
	"\"2026-11-23T18:" finished "Z\"},\"status\":" status "}"

static void success(const char *identity, int64_t seconds)
{
	resolver_add_success(&resolver, "agents", identity, WORLD_BEGIN + seconds * SECOND,
	                     WORLD_BEGIN + (seconds + 5) * SECOND);
}

static void record(const char *identity, int64_t seconds)
{
	resolver_add_record(&resolver, "agents", identity, WORLD_BEGIN + seconds * SECOND);
}

static void test_no_open_record_no_request(void **state)
{
	(void)state;
	record(A, 0);
	success(B, 10);
	resolver_add_success(&resolver, "other", A, WORLD_BEGIN + 10 * SECOND,
	                     WORLD_BEGIN + 15 * SECOND);
	no_request();
}

/* In pages; what is resolved, or failed later, is left alone. */
static void test_open_records_are_resolved(void **state)
{
	(void)state;
	record(A, 0);
	success(A, 60);
	respond(next("GET", LIST(A)), 200,
	        "{\"metadata\":{\"continue\":\"a b\"},\"items\":[" ITEM(
	                "one", "38:00", "{}") "," ITEM("two", "37:00",
	                                               "{\"resolvedAt\":\"2026-11-23T18:"
	                                               "37:30Z\"}") "]}");
	struct request *patch = next("PATCH", RECORDS "/one/status");
	assert_string_equal(patch->kube.body,
	                    "{\"status\":{\"resolvedAt\":\"2026-11-23T18:39:05.000000Z\"}}");
	no_request();
	respond(patch, 200, "{}");
	respond(next("GET", LIST(A) "&continue=a%20b"), 200,
	        "{\"metadata\":{},\"items\":[" ITEM("three", "39:01", "{}") "]}");
	no_request();

	/* One is still open: the next success looks again, and then there is none. */
	success(A, 120);
	respond(next("GET", LIST(A)), 200,
	        "{\"metadata\":{},\"items\":[" ITEM("three", "39:01", "{}") "]}");
	respond(next("PATCH", RECORDS "/three/status"), 200, "{}");
	success(A, 180);
	no_request();
	assert_int_equal(resolver.agent_count, 0);
}

static void test_a_record_that_comes_later(void **state)
{
	(void)state;
	success(A, 60);
	record(A, 90);
	no_request();
	record(A, 30);
	respond(next("GET", LIST(A)), 200, "{\"metadata\":{},\"items\":[]}");
	no_request();
}

/* The success that started last counts, whichever ended last. */
static void test_parallel_runs(void **state)
{
	(void)state;
	resolver_add_success(&resolver, "agents", A, WORLD_BEGIN + 50 * SECOND,
	                     WORLD_BEGIN + 60 * SECOND);
	resolver_add_success(&resolver, "agents", A, WORLD_BEGIN + 10 * SECOND,
	                     WORLD_BEGIN + 99 * SECOND);
	record(A, 30);
	respond(next("GET", LIST(A)), 200,
	        "{\"metadata\":{},\"items\":[" ITEM("one", "38:30", "{}") "]}");
	assert_string_equal(next("PATCH", RECORDS "/one/status")->kube.body,
	                    "{\"status\":{\"resolvedAt\":\"2026-11-23T18:39:00.000000Z\"}}");
}

/* One that fails waits, others go first; then it is tried again. */
static void test_a_server_in_trouble(void **state)
{
	(void)state;
	record(A, 0);
	record(B, 0);
	success(A, 10);
	success(B, 10);
	respond(next("GET", LIST(A)), 500, "{}");
	no_request();
	world.loop.now += 60 * SECOND;
	respond(next("GET", LIST(B)), 200, "{\"metadata\":{},\"items\":[]}");
	respond(next("GET", LIST(A)), 200,
	        "{\"metadata\":{},\"items\":[" ITEM("one", "38:00", "{}") "]}");
	respond(next("PATCH", RECORDS "/one/status"), 503, "{}");
	no_request();
	world.loop.now += 60 * SECOND;
	respond(next("GET", LIST(A)), 200, "{\"metadata\":{},\"items\":[]}");
	no_request();
	assert_int_equal(resolver.agent_count, 0);
}

static void test_a_record_that_is_gone(void **state)
{
	(void)state;
	record(A, 0);
	success(A, 10);
	respond(next("GET", LIST(A)), 200,
	        "{\"metadata\":{},\"items\":[" ITEM("one", "38:00", "{}") "]}");
	respond(next("PATCH", RECORDS "/one/status"), 404, "{}");
	no_request();
	assert_int_equal(resolver.agent_count, 0);
}

/* The next leader learns of the records anew; the successes are still known. */
static void test_leadership_changes(void **state)
{
	(void)state;
	record(A, 0);
	success(A, 10);
	respond(next("GET", LIST(A)), 200,
	        "{\"metadata\":{},\"items\":[" ITEM("one", "38:00", "{}") "]}");
	struct request *patch = next("PATCH", RECORDS "/one/status");
	resolver_set_leader(&resolver, false);
	record(B, 0);
	success(B, 10);
	no_request();
	resolver_set_leader(&resolver, true);
	record(B, 0);
	no_request(); /* until the patch of before has its response */
	respond(patch, 500, "{}");
	respond(next("GET", LIST(B)), 200, "{\"metadata\":{},\"items\":[]}");
	no_request();
}

static void test_what_is_remembered_is_bounded(void **state)
{
	(void)state;
	char identity[24];
	for (size_t i = 0; i < RESOLVER_AGENTS_MAX + 1000; i++) {
		snprintf(identity, sizeof identity, "%016zx", i);
		record(identity, 0);
	}
	assert_int_equal(resolver.agent_count, RESOLVER_AGENTS_MAX);
	for (size_t i = 0; i < RESOLVER_QUEUE_MAX + 1000; i++) {
		snprintf(identity, sizeof identity, "%016zx", i);
		success(identity, 10);
		success(identity, 11);
	}
	assert_int_equal(resolver.count, RESOLVER_QUEUE_MAX);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_no_open_record_no_request), TEST(test_open_records_are_resolved),
	        TEST(test_a_record_that_comes_later), TEST(test_parallel_runs),
	        TEST(test_a_server_in_trouble),       TEST(test_a_record_that_is_gone),
	        TEST(test_leadership_changes),        TEST(test_what_is_remembered_is_bounded),
	};
	return cmocka_run_group_tests_name("resolver", tests, NULL, NULL);
}
