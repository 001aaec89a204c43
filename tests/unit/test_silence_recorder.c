/* The condition Silent of a record: what is requested for it, and when nothing is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/log.h"
#include "observer/record/silence_recorder.h"
#include "tests/unit/loop_world.h"

static struct silence_recorder recorder;

static const struct termination failure = {.kind = TERMINATION_REPORTED,
                                           .namespace = "agents",
                                           .pod = "coder",
                                           .uid = "12345678-0000",
                                           .container = "main",
                                           .agent = "rex"};

static unsigned confirmed;

static void count_confirmed(void *context, const struct termination *termination)
{
	assert_null(context);
	assert_string_equal(termination->pod, "coder");
	confirmed++;
}

static int set_up(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR + 1);
	world_init();
	world_pass(40 * SECOND);
	silence_recorder_init(&recorder, &world.loop, world.metrics, 30 * SECOND, 30 * SECOND);
	recorder.confirmed = count_confirmed;
	confirmed = 0;
	silence_recorder_set_leader(&recorder, true);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	silence_recorder_free(&recorder);
	world_free();
	return 0;
}

static void nothing_more(void)
{
	no_request();
	assert_int_equal(recorder.count, 0);
}

#define RECORD "/apis/lastword.dev/v1alpha1/namespaces/agents/agentexits/coder.12345678.main.0"
#define POD    "/api/v1/namespaces/agents/pods/coder"
#define EVENTS "/api/v1/namespaces/agents/events"
#define STORED(version, status)                                                              \
	"{\"metadata\":{\"name\":\"coder.12345678.main.0\",\"namespace\":\"agents\","        \
	"\"resourceVersion\":\"" version "\"},\"spec\":{\"summary\":\"exit 1\"},\"status\":" \
	"{\"conditions\":[" status "]}}"
#define SILENT(status) "{\"type\":\"Silent\",\"status\":\"" status "\"}"
/* helper: its state */
#define POD_WITH(uid, helper)                                                                \
	"{\"metadata\":{\"namespace\":\"agents\",\"name\":\"coder\",\"uid\":\"" uid "\"},"   \
	"\"spec\":{\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"main\"},"         \
	"{\"name\":\"helper\"}]},\"status\":{\"phase\":\"Running\",\"containerStatuses\":["  \
	"{\"name\":\"main\",\"state\":{\"terminated\":{\"exitCode\":1,\"reason\":\"Error\"," \
	"\"startedAt\":\"2026-11-23T18:37:50Z\",\"finishedAt\":\"2026-11-23T18:38:00Z\"}}}," \
	"{\"name\":\"helper\",\"state\":" helper "}]}}"
#define RUNNING "{\"running\":{\"startedAt\":\"2026-11-23T18:37:50Z\"}}"
#define ENDED                                                                     \
	"{\"terminated\":{\"exitCode\":0,\"startedAt\":\"2026-11-23T18:37:50Z\"," \
	"\"finishedAt\":\"2026-11-23T18:38:03Z\"}}"

static void set(enum silence_end end, bool unknown)
{
	const struct silence silence = {
	        .failed_at = WORLD_BEGIN,
	        .confirmed_at = WORLD_BEGIN + 30 * SECOND,
	        .end = end,
	        .ended_at = end == SILENCE_LASTS ? 0 : WORLD_BEGIN + 90 * SECOND,
	        .end_unknown = unknown,
	};
	assert_true(silence_recorder_set(&recorder, &failure, &silence));
}

static void test_confirmed_then_over(void **state)
{
	(void)state;
	set(SILENCE_LASTS, false);
	respond(next("GET", RECORD), 200, STORED("7", ""));
	respond(next("GET", POD), 200, POD_WITH("12345678-0000", RUNNING));
	respond(next("POST", EVENTS), 201, "{}");
	struct request *patch = next("PATCH", RECORD "/status");
	assert_string_equal(
	        patch->kube.body,
	        "{\"metadata\":{\"resourceVersion\":\"7\"},\"status\":{\"conditions\":[{"
	        "\"type\":\"Silent\",\"status\":\"True\","
	        "\"lastTransitionTime\":\"2026-11-23T18:38:30.000000Z\","
	        "\"reason\":\"OtherContainersRun\",\"message\":\"another container of the pod "
	        "still ran 30s after this one had failed\"}]}}");
	respond(patch, 200, "{}");
	nothing_more();
	assert_int_equal(confirmed, 1);
	/* Another replica finds it written. */
	set(SILENCE_LASTS, false);
	respond(next("GET", RECORD), 200, STORED("8", SILENT("True")));
	nothing_more();
	assert_int_equal(confirmed, 2);
	set(SILENCE_POD_ENDED, false);
	respond(next("GET", RECORD), 200, STORED("8", SILENT("True")));
	patch = next("PATCH", RECORD "/status");
	assert_string_equal(patch->kube.body,
	                    "{\"metadata\":{\"resourceVersion\":\"8\"},\"status\":{"
	                    "\"conditions\":[{\"type\":\"Silent\",\"status\":\"False\","
	                    "\"lastTransitionTime\":\"2026-11-23T18:39:30.000000Z\","
	                    "\"reason\":\"PodEnded\","
	                    "\"message\":\"the pod was silent for 1m30s\"}]}}");
	respond(patch, 200, "{}");
	nothing_more();
	assert_int_equal(confirmed, 2);
	assert_metric("lastword_agent_silent_exits_total{namespace=\"agents\",agent=\"rex\"} 1\n");
	assert_metric("lastword_agent_silent_duration_seconds_sum{namespace=\"agents\","
	              "agent=\"rex\"} 90\n");
}

/* The watch is late or dead: the pod itself says that it is not silent. */
static void test_the_pod_is_verified(void **state)
{
	static const char *const pods[] = {POD_WITH("12345678-0000", ENDED),
	                                   POD_WITH("another-one", RUNNING), "{}", NULL};
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		set(SILENCE_LASTS, false);
		respond(next("GET", RECORD), 200, STORED("7", ""));
		respond(next("GET", POD), pods[i] == NULL ? 404 : 200,
		        pods[i] == NULL ? "{}" : pods[i]);
		nothing_more();
	}
}

/* Large pods do not add up: they are read one after the other. */
static void test_pods_are_verified_in_turn(void **state)
{
	static const char *const names[] = {"one", "two", "three"};
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct silence silence = {.failed_at = WORLD_BEGIN,
		                                .confirmed_at = WORLD_BEGIN + 30 * SECOND};
		struct termination termination = failure;
		termination.container = names[i];
		assert_true(silence_recorder_set(&recorder, &termination, &silence));
	}
	for (size_t i = 0; i < 3; i++) {
		event_loop_fire_timers(&world.loop);
		respond(event_loop_next_request(&world.loop), 200, STORED("7", ""));
	}
	for (size_t i = 0; i < 3; i++) {
		struct request *pod = next("GET", POD);
		event_loop_fire_timers(&world.loop);
		assert_null(event_loop_next_request(&world.loop));
		respond(pod, 404, "{}");
	}
	nothing_more();
}

static void test_what_is_there_is_not_written_again(void **state)
{
	(void)state;
	set(SILENCE_LASTS, false);
	respond(next("GET", RECORD), 200, STORED("7", SILENT("True")));
	nothing_more();
	set(SILENCE_LASTS, false);
	respond(next("GET", RECORD), 200, STORED("7", SILENT("False")));
	nothing_more();
	set(SILENCE_POD_GONE, true);
	respond(next("GET", RECORD), 200, STORED("7", SILENT("False")));
	nothing_more();
	/* It vanished unseen, and nobody had confirmed it. */
	set(SILENCE_POD_GONE, true);
	respond(next("GET", RECORD), 200, STORED("7", ""));
	nothing_more();
}

static void test_another_replica_was_faster(void **state)
{
	(void)state;
	set(SILENCE_POD_ENDED, false);
	respond(next("GET", RECORD), 200, STORED("7", ""));
	respond(next("PATCH", RECORD "/status"), 409, "{}");
	respond(next("GET", RECORD), 200, STORED("8", SILENT("False")));
	nothing_more();
}

/* Its own patch, whose response was lost, counts. */
static void test_a_lost_response(void **state)
{
	(void)state;
	set(SILENCE_POD_ENDED, false);
	respond(next("GET", RECORD), 200, STORED("7", ""));
	respond(next("PATCH", RECORD "/status"), 0, "");
	world.loop.now += 60 * SECOND;
	respond(next("GET", RECORD), 200, STORED("8", SILENT("False")));
	nothing_more();
	assert_metric("lastword_agent_silent_exits_total{namespace=\"agents\",agent=\"rex\"} 1\n");
}

static void test_it_ends_while_it_is_being_written(void **state)
{
	(void)state;
	set(SILENCE_LASTS, false);
	respond(next("GET", RECORD), 200, STORED("7", ""));
	respond(next("GET", POD), 200, POD_WITH("12345678-0000", RUNNING));
	struct request *event = next("POST", EVENTS);
	set(SILENCE_POD_ENDED, false);
	respond(event, 201, "{}");
	struct request *patch = next("PATCH", RECORD "/status");
	assert_non_null(strstr(patch->kube.body, "\"status\":\"False\""));
	respond(patch, 200, "{}");
	nothing_more();
}

/* No record: it may be on its way, but not for ever. */
static void test_giving_up(void **state)
{
	(void)state;
	unsigned requests = 0;
	set(SILENCE_LASTS, false);
	for (int64_t end = world.loop.now + 700 * SECOND; world.loop.now < end;
	     world.loop.now += SECOND) {
		event_loop_fire_timers(&world.loop);
		struct request *request = event_loop_next_request(&world.loop);
		if (request == NULL)
			continue;
		assert_string_equal(request->kube.path, RECORD);
		respond(request, 404, "{}");
		requests++;
	}
	assert_in_range(requests, 20, 400);
	nothing_more();
}

static void test_others_wait_for_the_leader(void **state)
{
	(void)state;
	silence_recorder_set_leader(&recorder, false);
	set(SILENCE_LASTS, false);
	world.loop.now += 29 * SECOND;
	event_loop_fire_timers(&world.loop);
	assert_null(event_loop_next_request(&world.loop));
	silence_recorder_set_leader(&recorder, true);
	respond(next("GET", RECORD), 200, STORED("7", SILENT("True")));
	nothing_more();
}

/* A record of which the tracker knows nothing, with that condition. */
static void check_record(const char *silent)
{
	struct agent_exit exit;
	agent_exit_init(&exit);
	exit.name = "coder.12345678.main.0";
	exit.namespace = "agents";
	exit.pod = "coder";
	exit.uid = "12345678-0000";
	exit.container = "main";
	exit.restart_count = 0;
	exit.finished_at = WORLD_BEGIN;
	exit.conditions[exit.condition_count] =
	        (struct agent_exit_condition){.type = AGENT_EXIT_SILENT,
	                                      .status = silent,
	                                      .last_transition_time = WORLD_BEGIN + 30 * SECOND};
	exit.condition_count += silent[0] != '\0';
	silence_recorder_check(&recorder, &exit);
}

static void expect_over(const char *reason, const char *message)
{
	respond(next("GET", RECORD), 200, STORED("7", SILENT("True")));
	struct request *patch = next("PATCH", RECORD "/status");
	assert_non_null(strstr(patch->kube.body, reason));
	if (strstr(patch->kube.body, message) == NULL)
		fail_msg("%s is not in %s", message, patch->kube.body);
	respond(patch, 200, "{}");
	nothing_more();
}

static void test_only_silence_that_a_record_has_is_looked_at(void **state)
{
	(void)state;
	check_record("");
	check_record("False");
	nothing_more();
}

/* What the pod's status says, where silence does not follow from it (any more). */
#define LOST "{\"terminated\":{\"exitCode\":137,\"reason\":\"ContainerStatusUnknown\"}}"
#define LATER(text)                                                               \
	"{\"terminated\":{\"exitCode\":0,\"startedAt\":\"2026-11-23T18:37:50Z\"," \
	"\"finishedAt\":\"2026-11-23T18:" text "Z\"}}"
#define ENDED_POD(main, helper)                                                                  \
	"{\"metadata\":{\"namespace\":\"agents\",\"name\":\"coder\",\"uid\":\"12345678-0000\"}," \
	"\"spec\":{\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"main\"},"             \
	"{\"name\":\"helper\"}]},\"status\":{\"phase\":\"Failed\",\"containerStatuses\":["       \
	"{\"name\":\"main\",\"state\":" main "},{\"name\":\"helper\",\"state\":" helper "}]}}"
#define RESTARTED(state)                                                                         \
	"{\"metadata\":{\"namespace\":\"agents\",\"name\":\"coder\",\"uid\":\"12345678-0000\"}," \
	"\"spec\":{\"containers\":[{\"name\":\"main\"},{\"name\":\"helper\"}]},\"status\":{"     \
	"\"phase\":\"Running\",\"containerStatuses\":[{\"name\":\"main\",\"restartCount\":1,"    \
	"\"state\":" state ",\"lastState\":{\"terminated\":{\"exitCode\":1,\"startedAt\":"       \
	"\"2026-11-23T18:37:50Z\",\"finishedAt\":\"2026-11-23T18:38:00Z\"}}}]}}"

static void test_silence_that_is_over(void **state)
{
	static const struct {
		long status;
		const char *pod;
		const char *reason;
		const char *message;
	} cases[] = {
	        {404, "{}", "PodGone", "silent for at most 40s"},
	        {200, POD_WITH("another-one", RUNNING), "PodGone", "silent for at most 40s"},
	        {200, ENDED_POD(LOST, LATER("38:35")), "PodEnded", "silent for 35s"},
	        {200, ENDED_POD(LOST, LOST), "PodEnded", "silent for at most 40s"},
	        /* Of another container: that of the helper is not there. */
	        {200, ENDED_POD("{}", LATER("38:03")), "PodEnded", "silent for at most 40s"},
	        {200, RESTARTED("{\"running\":{\"startedAt\":\"2026-11-23T18:38:33Z\"}}"),
	         "AgentRestarted", "silent for 33s"},
	        {200, RESTARTED("{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}}"),
	         "AgentRestarted", "silent for at most 40s"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		check_record("True");
		respond(next("GET", POD), cases[i].status, cases[i].pod);
		expect_over(cases[i].reason, cases[i].message);
	}
}

/* Its helper has ended, say, and the object goes later: it is looked at until then. */
static void test_silence_is_looked_at_until_it_is_over(void **state)
{
	(void)state;
	check_record("True");
	for (size_t i = 0; i < 3; i++) {
		respond(next("GET", POD), 200, POD_WITH("12345678-0000", LOST));
		no_request();
		world_pass(SILENCE_RECORDER_LOOK_AGAIN - 1);
		no_request();
		world_pass(1);
		check_record("True"); /* another pass of the record GC */
		assert_int_equal(recorder.count, 1);
	}
	respond(next("GET", POD), 200, "[]"); /* nobody knows what that is */
	no_request();
	world_pass(SILENCE_RECORDER_LOOK_AGAIN);
	respond(next("GET", POD), 404, "{}");
	expect_over("PodGone", "silent for at most 2m40s");
}

/* The watch shows its pod after all. */
static void test_the_tracker_takes_over(void **state)
{
	(void)state;
	check_record("True");
	struct request *pod = next("GET", POD);
	assert_ptr_equal(pod, recorder.reader.request);
	set(SILENCE_LASTS, false);
	assert_null(recorder.reader.request);
	respond(next("GET", RECORD), 200, STORED("7", SILENT("True")));
	nothing_more();
	check_record("True");
	respond(next("GET", POD), 200, POD_WITH("12345678-0000", RUNNING));
	set(SILENCE_POD_ENDED, false);
	expect_over("PodEnded", "silent for 1m30s");
}

static void test_only_the_leader_looks(void **state)
{
	(void)state;
	check_record("True");
	respond(next("GET", POD), 200, POD_WITH("12345678-0000", RUNNING));
	silence_recorder_set_leader(&recorder, false);
	world_pass(SILENCE_RECORDER_LOOK_AGAIN);
	nothing_more();
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_confirmed_then_over),
	        TEST(test_the_pod_is_verified),
	        TEST(test_pods_are_verified_in_turn),
	        TEST(test_what_is_there_is_not_written_again),
	        TEST(test_another_replica_was_faster),
	        TEST(test_a_lost_response),
	        TEST(test_it_ends_while_it_is_being_written),
	        TEST(test_giving_up),
	        TEST(test_others_wait_for_the_leader),
	        TEST(test_only_silence_that_a_record_has_is_looked_at),
	        TEST(test_silence_that_is_over),
	        TEST(test_silence_is_looked_at_until_it_is_over),
	        TEST(test_the_tracker_takes_over),
	        TEST(test_only_the_leader_looks),
	};
	return cmocka_run_group_tests_name("silence recorder", tests, NULL, NULL);
}
