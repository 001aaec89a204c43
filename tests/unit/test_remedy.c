/* Which silent pods are failed (observer/guard/remedy), and what is requested for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/log.h"
#include "observer/guard/remedy.h"
#include "tests/unit/loop_world.h"

#define POD      "/api/v1/namespaces/agents/pods/coder"
#define EVENTS   "/api/v1/namespaces/agents/events"
#define FAILED   "{\"terminated\":{\"exitCode\":101,\"reason\":\"Error\"}}"
#define ENDED    "{\"terminated\":{\"exitCode\":0,\"reason\":\"Completed\"}}"
#define RUNS     "{\"running\":{\"startedAt\":\"2026-11-23T18:37:50Z\"}}"
#define WAITS    "{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}}"
#define FAIL_POD ",\\\"onSilentExit\\\":\\\"fail-pod\\\""
#define PATCH                                                                  \
	"{\"metadata\":{\"uid\":\"u-1\",\"resourceVersion\":\"7\"},\"spec\":{" \
	"\"activeDeadlineSeconds\":1}}"

static struct remedy remedy;

static const struct termination failure = {.kind = TERMINATION_REPORTED,
                                           .namespace = "agents",
                                           .pod = "coder",
                                           .uid = "u-1",
                                           .container = "main"};

static int set_up(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR + 1);
	world_init();
	remedy_init(&remedy, &world.loop, world.metrics, true);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	remedy_free(&remedy);
	remedy_free(&remedy);
	world_free();
	return 0;
}

struct pod_text {
	const char *uid;
	const char *record; /* more members of the decision record */
	const char *metadata;
	const char *spec;
	const char *phase;
	const char *main;
	const char *critic; /* another agent; NULL: there is none */
};

static const struct pod_text silent = {"u-1", FAIL_POD, "", "", "Running", FAILED, NULL};

static void send_pod(const struct pod_text *text)
{
	struct buffer _cleanup_buffer_ out;
	buffer_init(&out, 1 << 16);
	buffer_printf(
	        &out,
	        "{\"metadata\":{\"namespace\":\"agents\",\"name\":\"coder\",\"uid\":\"%s\","
	        "\"resourceVersion\":\"7\"%s,\"labels\":{\"lastword.dev/injected\":\"true\"},"
	        "\"annotations\":{\"lastword.dev/status\":\"{\\\"containers\\\":["
	        "{\\\"name\\\":\\\"main\\\"}%s]%s}\"}},\"spec\":{\"restartPolicy\":\"Never\"%s,"
	        "\"containers\":[{\"name\":\"main\"},{\"name\":\"critic\"},"
	        "{\"name\":\"proxy\"}]},\"status\":{\"phase\":\"%s\",\"containerStatuses\":["
	        "{\"name\":\"main\",\"restartCount\":0,\"state\":%s},"
	        "{\"name\":\"critic\",\"restartCount\":0,\"state\":%s},"
	        "{\"name\":\"proxy\",\"restartCount\":0,\"state\":" RUNS "}]}}",
	        text->uid, text->metadata,
	        text->critic == NULL ? "" : ",{\\\"name\\\":\\\"critic\\\"}", text->record,
	        text->spec, text->phase, text->main, text->critic == NULL ? RUNS : text->critic);
	assert_true(buffer_ok(&out));
	respond(next("GET", POD), 200, buffer_text(&out));
}

static void take_event(void)
{
	struct request *request = next("POST", EVENTS);
	assert_non_null(strstr(request->kube.body, "\"reason\":\"AgentPodFailed\""));
	assert_non_null(strstr(request->kube.body, "\"name\":\"coder\""));
	respond(request, 201, "{}");
}

static void take_patch(long status)
{
	struct request *request = next("PATCH", POD);
	assert_string_equal(request->kube.content_type, KUBE_MERGE_PATCH);
	assert_string_equal(request->kube.body, PATCH);
	respond(request, status, "{}");
}

static void nothing_more(void)
{
	no_request();
	assert_int_equal(remedy.count, 0);
	world_pass(3600 * SECOND);
	no_request();
}

static void test_a_silent_pod_is_failed(void **state)
{
	(void)state;
	remedy_begin(&remedy, &failure);
	remedy_begin(&remedy, &failure); /* again, while it is under way */
	send_pod(&silent);
	take_event();
	take_patch(200);
	nothing_more();
	assert_metric("lastword_observer_failed_pods_total 1\n");
}

static void test_off_by_default(void **state)
{
	(void)state;
	remedy_free(&remedy);
	remedy_init(&remedy, &world.loop, world.metrics, false);
	remedy_begin(&remedy, &failure);
	nothing_more();
}

static void test_pods_that_are_left_alone(void **state)
{
	(void)state;
	static const struct pod_text pods[] = {
	        /* its rule does not ask for it */
	        {"u-1", "", "", "", "Running", FAILED, NULL},
	        {"u-1", ",\\\"onSilentExit\\\":\\\"report\\\"", "", "", "Running", FAILED, NULL},
	        /* another pod has its name */
	        {"u-2", FAIL_POD, "", "", "Running", FAILED, NULL},
	        /* it has ended, or is being deleted */
	        {"u-1", FAIL_POD, "", "", "Failed", FAILED, NULL},
	        {"u-1", FAIL_POD, ",\"deletionTimestamp\":\"2026-11-23T18:39:00Z\"", "", "Running",
	         FAILED, NULL},
	        /* that was done already */
	        {"u-1", FAIL_POD, "", ",\"activeDeadlineSeconds\":1", "Running", FAILED, NULL},
	};
	for (size_t i = 0; i < sizeof pods / sizeof pods[0]; i++) {
		remedy_begin(&remedy, &failure);
		send_pod(&pods[i]);
		nothing_more();
	}
	remedy_begin(&remedy, &failure);
	respond(next("GET", POD), 404, "{}");
	nothing_more();
}

/* A deadline of its own is lowered. */
static void test_a_later_deadline(void **state)
{
	(void)state;
	struct pod_text pod = silent;
	pod.spec = ",\"activeDeadlineSeconds\":86400";
	remedy_begin(&remedy, &failure);
	send_pod(&pod);
	take_event();
	take_patch(200);
	nothing_more();
}

/* Another agent of the pod is at work: it is waited for. */
static void test_no_agent_is_stopped(void **state)
{
	(void)state;
	static const char *const states[] = {RUNS, WAITS, RUNS};
	struct pod_text pod = silent;
	remedy_begin(&remedy, &failure);
	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
		pod.critic = states[i];
		send_pod(&pod);
		no_request();
		world_pass(REMEDY_AGAIN);
	}
	pod.critic = ENDED;
	send_pod(&pod);
	take_event();
	take_patch(200);
	nothing_more();
}

/* The agent runs again: a rule of its restarts it. */
static void test_an_agent_that_runs_again(void **state)
{
	(void)state;
	struct pod_text pod = silent;
	pod.main = RUNS;
	remedy_begin(&remedy, &failure);
	send_pod(&pod);
	no_request();
	pod.phase = "Succeeded";
	world_pass(REMEDY_AGAIN);
	send_pod(&pod);
	nothing_more();
}

static void test_conflicts_and_errors(void **state)
{
	(void)state;
	static const long statuses[] = {409, 500, 0};
	remedy_begin(&remedy, &failure);
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
		send_pod(&silent);
		if (i == 0)
			take_event(); /* once */
		take_patch(statuses[i]);
		no_request();
		world_pass(REMEDY_AGAIN);
	}
	respond(next("GET", POD), 500, "{}");
	no_request();
	world_pass(REMEDY_AGAIN);
	send_pod(&silent);
	take_patch(200);
	nothing_more();
}

static void test_no_right_to(void **state)
{
	(void)state;
	remedy_begin(&remedy, &failure);
	for (int i = 0; i < REMEDY_ATTEMPTS_MAX; i++) {
		send_pod(&silent);
		if (i == 0)
			take_event();
		take_patch(403);
		no_request();
		world_pass(REMEDY_AGAIN);
	}
	nothing_more();
	assert_metric("lastword_observer_failed_pods_total 0\n");
}

static void test_many_are_bounded(void **state)
{
	(void)state;
	char uid[32];
	struct termination many = failure;
	many.uid = uid;
	for (int i = 0; i < 2 * REMEDY_PODS_MAX; i++) {
		snprintf(uid, sizeof uid, "u-%d", i);
		remedy_begin(&remedy, &many);
	}
	assert_int_equal(remedy.count, REMEDY_PODS_MAX);
	for (int i = 0; i < REMEDY_PODS_MAX; i++)
		respond(next("GET", POD), 404, "{}");
	nothing_more();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	        TEST(test_a_silent_pod_is_failed),   TEST(test_off_by_default),
	        TEST(test_pods_that_are_left_alone), TEST(test_a_later_deadline),
	        TEST(test_no_agent_is_stopped),      TEST(test_an_agent_that_runs_again),
	        TEST(test_conflicts_and_errors),     TEST(test_no_right_to),
	        TEST(test_many_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
