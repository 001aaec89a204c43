/* Which requests a success causes, and which it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buffer.h"
#include "observer/record/resolver.h"

#define WALL (INT64_C(1795459080) * SECOND) /* 2026-11-23T18:38:00Z */
#define A    "00000000000000aa"
#define B    "00000000000000bb"

static struct {
	struct event_loop loop;
	struct observer_metrics *metrics;
	struct resolver resolver;
} world;

static int set_up(void **state)
{
	(void)state;
	world.metrics = observer_metrics_new();
	event_loop_init(&world.loop, 1, 8);
	world.loop.now = SECOND;
	world.loop.wall = WALL;
	if (!resolver_init(&world.resolver, &world.loop, world.metrics))
		return 1;
	resolver_set_leader(&world.resolver, true);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	resolver_free(&world.resolver);
	event_loop_free(&world.loop);
	observer_metrics_free(world.metrics);
	return 0;
}

static void respond(struct request *request, long status, const char *body)
{
	struct kube_response _cleanup_kube_response_ response;
	struct error error = {"refused"};
	kube_response_init(&response);
	response.status = status;
	buffer_append_text(&response.body, body);
	event_loop_finish_request(&world.loop, request, &response,
	                          status / 100 == 2 ? NULL : &error);
}

/* The next request, whose method and path are as expected. */
static struct request *next(const char *method, const char *path)
{
	event_loop_fire_timers(&world.loop);
	struct request *request = event_loop_next_request(&world.loop);
	assert_non_null(request);
	assert_string_equal(request->kube.method == NULL ? "GET" : request->kube.method, method);
	assert_string_equal(request->kube.path, path);
	return request;
}

static void nothing_more(void)
{
	event_loop_fire_timers(&world.loop);
	assert_null(event_loop_next_request(&world.loop));
}

#define RECORDS        "/apis/lastword.dev/v1alpha1/namespaces/agents/agentexits"
#define LIST(identity) RECORDS "?labelSelector=lastword.dev%2Fidentity%3D" identity "&limit=20"
#define ITEM(name, finished, status)                                                               \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"agents\"},\"spec\":{\"finishedAt\":" \
	"\"2026-11-23T18:" finished "Z\"},\"status\":" status "}"

static void success(const char *identity, int64_t seconds)
{
	resolver_add_success(&world.resolver, "agents", identity, WALL + seconds * SECOND,
	                     WALL + (seconds + 5) * SECOND);
}

static void record(const char *identity, int64_t seconds)
{
	resolver_add_record(&world.resolver, "agents", identity, WALL + seconds * SECOND);
}

static void test_no_open_record_no_request(void **state)
{
	(void)state;
	record(A, 0);
	success(B, 10);
	resolver_add_success(&world.resolver, "other", A, WALL + 10 * SECOND, WALL + 15 * SECOND);
	nothing_more();
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
	nothing_more();
	respond(patch, 200, "{}");
	respond(next("GET", LIST(A) "&continue=a%20b"), 200,
	        "{\"metadata\":{},\"items\":[" ITEM("three", "39:01", "{}") "]}");
	nothing_more();

	/* One is still open: the next success looks again, and then there is none. */
	success(A, 120);
	respond(next("GET", LIST(A)), 200,
	        "{\"metadata\":{},\"items\":[" ITEM("three", "39:01", "{}") "]}");
	respond(next("PATCH", RECORDS "/three/status"), 200, "{}");
	success(A, 180);
	nothing_more();
	assert_int_equal(world.resolver.agent_count, 0);
}

static void test_a_record_that_comes_later(void **state)
{
	(void)state;
	success(A, 60);
	record(A, 90);
	nothing_more();
	record(A, 30);
	respond(next("GET", LIST(A)), 200, "{\"metadata\":{},\"items\":[]}");
	nothing_more();
}

/* The success that started last counts, whichever ended last. */
static void test_parallel_runs(void **state)
{
	(void)state;
	resolver_add_success(&world.resolver, "agents", A, WALL + 50 * SECOND, WALL + 60 * SECOND);
	resolver_add_success(&world.resolver, "agents", A, WALL + 10 * SECOND, WALL + 99 * SECOND);
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
	nothing_more();
	world.loop.now += 60 * SECOND;
	respond(next("GET", LIST(B)), 200, "{\"metadata\":{},\"items\":[]}");
	respond(next("GET", LIST(A)), 200,
	        "{\"metadata\":{},\"items\":[" ITEM("one", "38:00", "{}") "]}");
	respond(next("PATCH", RECORDS "/one/status"), 503, "{}");
	nothing_more();
	world.loop.now += 60 * SECOND;
	respond(next("GET", LIST(A)), 200, "{\"metadata\":{},\"items\":[]}");
	nothing_more();
	assert_int_equal(world.resolver.agent_count, 0);
}

static void test_a_record_that_is_gone(void **state)
{
	(void)state;
	record(A, 0);
	success(A, 10);
	respond(next("GET", LIST(A)), 200,
	        "{\"metadata\":{},\"items\":[" ITEM("one", "38:00", "{}") "]}");
	respond(next("PATCH", RECORDS "/one/status"), 404, "{}");
	nothing_more();
	assert_int_equal(world.resolver.agent_count, 0);
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
	resolver_set_leader(&world.resolver, false);
	record(B, 0);
	success(B, 10);
	nothing_more();
	resolver_set_leader(&world.resolver, true);
	record(B, 0);
	nothing_more(); /* until the patch of before has its response */
	respond(patch, 500, "{}");
	respond(next("GET", LIST(B)), 200, "{\"metadata\":{},\"items\":[]}");
	nothing_more();
}

static void test_what_is_remembered_is_bounded(void **state)
{
	(void)state;
	char identity[24];
	for (size_t i = 0; i < RESOLVER_AGENTS_MAX + 1000; i++) {
		snprintf(identity, sizeof identity, "%016zx", i);
		record(identity, 0);
	}
	assert_int_equal(world.resolver.agent_count, RESOLVER_AGENTS_MAX);
	for (size_t i = 0; i < RESOLVER_QUEUE_MAX + 1000; i++) {
		snprintf(identity, sizeof identity, "%016zx", i);
		success(identity, 10);
		success(identity, 11);
	}
	assert_int_equal(world.resolver.count, RESOLVER_QUEUE_MAX);
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
