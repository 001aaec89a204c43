/* What the events of a watch make of a pod's silence: the gauge, and what the recorder is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "observer/watch/silence_tracker.h"
#include "tests/unit/loop_world.h"

#define GAUGE "lastword_silent_pods{namespace=\"agents\",agent=\"rex\"} 1\n"
/* A pod with two agents; the states of these and of a sidecar. */
#define POD(phase, first, second, sidecar)                                                     \
	"{\"metadata\":{\"namespace\":\"agents\",\"name\":\"coder\",\"uid\":\"u\","            \
	"\"labels\":{\"agent\":\"rex\"}},\"spec\":{\"restartPolicy\":"                         \
	"\"Never\",\"containers\":[{\"name\":\"first\"},{\"name\":\"second\"},{\"name\":"      \
	"\"sidecar\"}]},\"status\":{\"phase\":\"" phase "\",\"containerStatuses\":[{\"name\":" \
	"\"first\",\"state\":" first "},{\"name\":\"second\",\"state\":" second "},{\"name\":" \
	"\"sidecar\",\"state\":" sidecar "}]}}"
#define RUNS "{\"running\":{\"startedAt\":\"2026-11-23T18:37:50Z\"}}"
#define ENDED(code, at)                                                                   \
	"{\"terminated\":{\"exitCode\":" #code ",\"startedAt\":\"2026-11-23T18:37:50Z\"," \
	"\"finishedAt\":\"2026-11-23T18:" at "Z\"}}"

static struct silence_recorder recorder;
static struct silence_tracker tracker;
static struct cached_pod *cached;
static struct pod_cache cache;

static int set_up(void **state)
{
	static const struct termination facts = {.kind = TERMINATION_UNOBSERVED,
	                                         .namespace = "agents",
	                                         .pod = "coder",
	                                         .uid = "u",
	                                         .container = "first",
	                                         .agent = "rex"};
	(void)state;
	world_init();
	silence_recorder_init(&recorder, &world.loop, world.metrics, 30 * SECOND, 30 * SECOND);
	tracker = (struct silence_tracker){.loop = &world.loop,
	                                   .metrics = world.metrics,
	                                   .recorder = &recorder,
	                                   .silent_after = 30 * SECOND};
	assert_true(pod_cache_init(&cache));
	cached = pod_cache_add(&cache, &facts, 2);
	assert_non_null(cached);
	snprintf(cached->agents[0].name, sizeof cached->agents[0].name, "first");
	snprintf(cached->agents[1].name, sizeof cached->agents[1].name, "second");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	silence_recorder_free(&recorder);
	pod_cache_free(&cache);
	world_free();
	return 0;
}

static void take(const char *text, bool gone)
{
	struct arena *arena = arena_new(0);
	json *object;
	struct pod pod;
	assert_int_not_equal(json_parse(arena, text, strlen(text), 0, &object, NULL), JSON_INVALID);
	assert_true(pod_read(arena, object, &pod, NULL));
	pod.agent_count = 0;
	pod_add_agent(&pod, "first");
	pod_add_agent(&pod, "second");
	assert_int_equal(pod.agent_count, 2);
	for (size_t i = 0; i < 2; i++) {
		struct termination found[2];
		size_t count = termination_read(arena, &pod, &pod.agents[i], found);
		silence_tracker_take(&tracker, &pod, &pod.agents[i], cached, &cached->agents[i],
		                     found, count, gone);
	}
	arena_free(arena);
}

static void fire(void)
{
	for (size_t i = 0; i < 2; i++)
		silence_tracker_fire(&tracker, cached, &cached->agents[i]);
}

static void assert_sample(const char *text, bool there)
{
	struct buffer _cleanup_buffer_ out;
	buffer_init(&out, 1 << 20);
	observer_metrics_write(world.metrics, &out);
	assert_int_equal(strstr(buffer_text(&out), text) != NULL, there);
}

static void assert_gauge(bool silent)
{
	assert_sample(GAUGE, silent);
}

/* 30 s and the margin after the failure, not sooner; until the pod has ended. */
static void test_a_pod_becomes_silent_and_ends(void **state)
{
	(void)state;
	take(POD("Running", ENDED(1, "38:00"), RUNS, RUNS), false);
	assert_int_equal(silence_tracker_due(&cached->agents[0]),
	                 WORLD_BEGIN + 30 * SECOND + SILENCE_MARGIN);
	assert_int_equal(silence_tracker_due(&cached->agents[1]), INT64_MAX);
	world_pass(30 * SECOND + SILENCE_MARGIN - 1);
	fire();
	assert_gauge(false);
	assert_false(silence_tracker_follows(cached, "first", 0));
	assert_int_equal(recorder.count, 0);
	world_pass(1);
	fire();
	assert_gauge(true);
	assert_true(silence_tracker_follows(cached, "first", 0));
	assert_false(silence_tracker_follows(cached, "first", 1));
	assert_false(silence_tracker_follows(cached, "second", 0));
	assert_false(silence_tracker_follows(cached, "sidecar", 0));
	assert_int_equal(recorder.count, 1);
	take(POD("Failed", ENDED(1, "38:00"), ENDED(0, "38:50"), ENDED(0, "39:00")), false);
	assert_gauge(false);
	assert_true(silence_tracker_follows(cached, "first", 0));
	assert_int_equal(recorder.count, 1);
}

/* It counts once, and for as long as one of them is silent. */
static void test_two_agents_of_a_pod_are_silent(void **state)
{
	(void)state;
	world_pass(40 * SECOND);
	take(POD("Running", ENDED(1, "38:00"), ENDED(1, "38:05"), RUNS), false);
	assert_int_equal(cached->silent_agents, 2);
	assert_int_equal(recorder.count, 2);
	assert_gauge(true);
	silence_tracker_gone(&tracker, cached);
	assert_gauge(false);
	assert_int_equal(cached->silent_agents, 0);
}

/* The label has another name when the pod is deleted: nothing is left of the first one. */
static void test_an_agent_that_changes_its_name(void **state)
{
	(void)state;
	world_pass(40 * SECOND);
	take(POD("Running", ENDED(1, "38:00"), RUNS, RUNS), false);
	assert_gauge(true);
	const struct termination facts = {.kind = TERMINATION_UNOBSERVED,
	                                  .namespace = "agents",
	                                  .pod = "coder",
	                                  .uid = "u",
	                                  .container = "first",
	                                  .agent = "max"};
	silence_tracker_set_facts(&tracker, cached, &facts);
	assert_gauge(false);
	assert_sample("lastword_silent_pods{namespace=\"agents\",agent=\"max\"} 1\n", true);
	silence_tracker_gone(&tracker, cached);
	assert_sample("lastword_silent_pods{", false);
	/* Of a pod that is not silent nothing counts. */
	silence_tracker_set_facts(&tracker, cached, &facts);
	assert_sample("lastword_silent_pods{", false);
}

static void test_what_ends_in_time_is_not_silent(void **state)
{
	(void)state;
	take(POD("Running", ENDED(1, "38:00"), ENDED(0, "38:03"), RUNS), false);
	take(POD("Running", ENDED(1, "38:00"), ENDED(0, "38:03"), ENDED(0, "38:20")), false);
	world_pass(60 * SECOND);
	fire();
	take(POD("Failed", ENDED(1, "38:00"), ENDED(0, "38:03"), ENDED(0, "38:20")), false);
	take(POD("Failed", ENDED(1, "38:00"), ENDED(0, "38:03"), ENDED(0, "38:20")), true);
	assert_gauge(false);
	assert_int_equal(recorder.count, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_a_pod_becomes_silent_and_ends),
	        TEST(test_two_agents_of_a_pod_are_silent),
	        TEST(test_an_agent_that_changes_its_name),
	        TEST(test_what_ends_in_time_is_not_silent),
	};
	return cmocka_run_group_tests_name("silence tracker", tests, NULL, NULL);
}
