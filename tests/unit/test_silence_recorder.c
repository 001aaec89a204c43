/* The condition Silent of a record: what is requested for it, and when nothing is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buffer.h"
#include "lib/base/log.h"
#include "observer/record/silence_recorder.h"

#define BEGIN (INT64_C(1795459080) * SECOND) /* 2026-11-23T18:38:00Z */

static struct {
	struct event_loop loop;
	struct observer_metrics *metrics;
	struct silence_recorder recorder;
} world;

static const struct termination failure = {.kind = TERMINATION_REPORTED,
                                           .namespace = "agents",
                                           .pod = "coder",
                                           .uid = "12345678-0000",
                                           .container = "main",
                                           .agent = "rex"};

static int set_up(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR + 1);
	world.metrics = observer_metrics_new();
	event_loop_init(&world.loop, 1, 8);
	world.loop.now = SECOND;
	world.loop.wall = BEGIN + 40 * SECOND;
	silence_recorder_init(&world.recorder, &world.loop, world.metrics, 30 * SECOND,
	                      30 * SECOND);
	silence_recorder_set_leader(&world.recorder, true);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	silence_recorder_free(&world.recorder);
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
	if (request->receive == NULL)
		buffer_append_text(&response.body, body);
	else if (status / 100 == 2)
		for (size_t i = 0; i < strlen(body); i += 7)
			event_loop_receive(request, body + i, strnlen(body + i, 7));
	event_loop_finish_request(&world.loop, request, &response,
	                          status / 100 == 2 ? NULL : &error);
}

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
	assert_int_equal(world.recorder.count, 0);
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
	        .failed_at = BEGIN,
	        .confirmed_at = BEGIN + 30 * SECOND,
	        .end = end,
	        .ended_at = end == SILENCE_LASTS ? 0 : BEGIN + 90 * SECOND,
	        .end_unknown = unknown,
	};
	assert_true(silence_recorder_set(&world.recorder, &failure, &silence));
}

static char *metrics(void)
{
	struct buffer out;
	buffer_init(&out, 1 << 20);
	observer_metrics_write(world.metrics, &out);
	return buffer_steal(&out);
}

static void assert_metric(const char *line)
{
	char *text = metrics();
	if (strstr(text, line) == NULL)
		fail_msg("%s is not in\n%s", line, text);
	free(text);
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
		const struct silence silence = {.failed_at = BEGIN,
		                                .confirmed_at = BEGIN + 30 * SECOND};
		struct termination termination = failure;
		termination.container = names[i];
		assert_true(silence_recorder_set(&world.recorder, &termination, &silence));
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
	silence_recorder_set_leader(&world.recorder, false);
	set(SILENCE_LASTS, false);
	world.loop.now += 29 * SECOND;
	event_loop_fire_timers(&world.loop);
	assert_null(event_loop_next_request(&world.loop));
	silence_recorder_set_leader(&world.recorder, true);
	respond(next("GET", RECORD), 200, STORED("7", SILENT("True")));
	nothing_more();
}

static void test_a_record_whose_pod_is_unknown(void **state)
{
	struct agent_exit exit;
	(void)state;
	agent_exit_init(&exit);
	exit.name = "coder.12345678.main.0";
	exit.namespace = "agents";
	exit.pod = "coder";
	exit.uid = "12345678-0000";
	exit.container = "main";
	exit.restart_count = 0;
	exit.finished_at = BEGIN;
	silence_recorder_check(&world.recorder, &exit);
	nothing_more(); /* it was never silent */
	exit.conditions[exit.condition_count++] = (struct agent_exit_condition){
	        .type = AGENT_EXIT_SILENT, .status = "True", .last_transition_time = BEGIN};
	silence_recorder_check(&world.recorder, &exit);
	respond(next("GET", POD), 200, POD_WITH("12345678-0000", RUNNING));
	nothing_more(); /* it lost its label, say */
	silence_recorder_check(&world.recorder, &exit);
	respond(next("GET", POD), 200, POD_WITH("another-one", RUNNING));
	respond(next("GET", RECORD), 200, STORED("7", SILENT("True")));
	struct request *patch = next("PATCH", RECORD "/status");
	assert_non_null(strstr(patch->kube.body, "the pod was silent for at most 40s"));
	respond(patch, 200, "{}");
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
	        TEST(test_a_record_whose_pod_is_unknown),
	};
	return cmocka_run_group_tests_name("silence recorder", tests, NULL, NULL);
}
