/* Terminations on a lost node are recorded at once: nobody responds for its logs. And what is
 * counted of the evidence: reports that watchdogs have lost, logs that were to be followed and are
 * missed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "observer/evidence/evidence.h"
#include "observer/pod/pod_lookup.h"
#include "tests/unit/ignore.h"
#include "tests/unit/loop_world.h"

/* The first request that a termination causes that nobody reports: method and path. */
static void first_request(const char *disruption, char ret_path[256])
{
	struct event_loop loop;
	struct record_writer writer;
	struct evidence_gatherer gatherer;
	struct pod_cache cache;
	const struct termination termination = {.kind = TERMINATION_UNOBSERVED,
	                                        .namespace = "a",
	                                        .pod = "coder",
	                                        .uid = "12345678-0",
	                                        .container = "main",
	                                        .disruption = disruption,
	                                        .watched = true,
	                                        .final = true};
	struct observer_metrics *metrics = observer_metrics_new();
	assert_non_null(metrics);
	event_loop_init(&loop, 1, 8);
	record_writer_init(&writer, &loop, metrics, SECOND, ignore_record, ignore, NULL);
	record_writer_set_leader(&writer, true);
	evidence_gatherer_init(&gatherer, &loop, metrics, &writer, ignore, NULL);
	assert_true(pod_cache_init(&cache));
	struct cached_pod *pod = pod_cache_add(&cache, &termination, 1);
	assert_non_null(pod);
	assert_true(evidence_gather(&gatherer, pod, &termination, false));
	event_loop_fire_timers(&loop);
	const struct request *request = event_loop_next_request(&loop);
	assert_non_null(request);
	snprintf(ret_path, 256, "%s %s",
	         request->kube.method == NULL ? "GET" : request->kube.method, request->kube.path);
	evidence_gatherer_free(&gatherer);
	record_writer_free(&writer);
	pod_cache_free(&cache);
	event_loop_free(&loop);
	observer_metrics_free(metrics);
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

/* A pod that lost its label exists, however large its annotations are. */
static void test_a_pod_is_known_by_its_uid(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct kube_response _cleanup_kube_response_ response;
		kube_response_init(&response);
		buffer_append_text(&response.body, "{\"metadata\":{\"annotations\":{\"a\":\"");
		for (int k = 0; k < (i % 2 == 0 ? 1 : 50000); k++)
			buffer_append_text(&response.body, "\\u003c");
		buffer_printf(&response.body, "\"},\"uid\":\"%s\"}}", i < 2 ? "u-1" : "u-2");
		assert_true(buffer_ok(&response.body));
		assert_int_equal(pod_lookup_found(&response, "u-1"), i < 2);
	}
	struct kube_response _cleanup_kube_response_ nothing;
	kube_response_init(&nothing);
	assert_false(pod_lookup_found(&nothing, "u-1"));
	buffer_append_text(&nothing.body, "{\"metadata\":{\"uid\":\"u-1\"");
	assert_false(pod_lookup_found(&nothing, "u-1"));
}

/* The leader's evidence about a termination of a pod with one agent, and the record's POST. */
static struct {
	struct record_writer writer;
	struct evidence_gatherer gatherer;
	struct pod_cache cache;
	struct cached_pod *pod;
} gathering;

static const struct termination failure = {.kind = TERMINATION_REPORTED,
                                           .namespace = "a",
                                           .pod = "coder",
                                           .uid = "12345678-0",
                                           .container = "main",
                                           .exit_code = 7,
                                           .watched = true,
                                           .final = true};

static int set_up(void **state)
{
	(void)state;
	world_init();
	record_writer_init(&gathering.writer, &world.loop, world.metrics, SECOND, ignore_record,
	                   ignore, NULL);
	record_writer_set_leader(&gathering.writer, true);
	evidence_gatherer_init(&gathering.gatherer, &world.loop, world.metrics, &gathering.writer,
	                       ignore, NULL);
	assert_true(pod_cache_init(&gathering.cache));
	gathering.pod = pod_cache_add(&gathering.cache, &failure, 1);
	assert_non_null(gathering.pod);
	snprintf(gathering.pod->agents[0].name, sizeof gathering.pod->agents[0].name, "main");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	evidence_gatherer_free(&gathering.gatherer);
	record_writer_free(&gathering.writer);
	pod_cache_free(&gathering.cache);
	world_free();
	return 0;
}

#define LOG     "/api/v1/namespaces/a/pods/coder/log?container="
#define RECORDS "/apis/lastword.dev/v1alpha1/namespaces/a/agentexits"

/* The watchdog counts on: of two runs' reports what is new is counted. */
static void test_lost_reports_are_counted(void **state)
{
	static const char *const lost[] = {"3", "5"};
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		char line[256];
		struct termination termination = failure;
		termination.restart_count = i;
		assert_true(
		        evidence_gather(&gathering.gatherer, gathering.pod, &termination, false));
		snprintf(line, sizeof line,
		         "{\"event\":\"end\",\"uid\":\"12345678-0\",\"container\":\"main\","
		         "\"exit_code\":7,\"reports_lost\":%s}\n",
		         lost[i]);
		respond(next("GET", LOG "lastword-watchdog&tailLines=200"), 200, line);
		struct request *post = next("POST", RECORDS);
		assert_non_null(strstr(post->kube.body,
		                       i == 0 ? "\"reportsLost\":3" : "\"reportsLost\":5"));
		respond(post, 201, "{}");
		while (gathering.writer.count > 0) { /* its Event and status */
			event_loop_fire_timers(&world.loop);
			respond(event_loop_next_request(&world.loop), 201, "{}");
		}
	}
	assert_metric("lastword_watchdog_lost_reports_total{namespace=\"a\"} 5\n");
}

/* Its log was to be followed, and neither then nor now anybody has it. */
static void test_a_missed_log_is_counted(void **state)
{
	struct termination termination = failure;
	(void)state;
	termination.watched = false;
	gathering.pod->agents[0].followed = true;
	gathering.pod->agents[0].log_missed = LOG_MISSED_REFUSED;
	assert_true(evidence_gather(&gathering.gatherer, gathering.pod, &termination, false));
	respond(next("GET", LOG "main&tailLines=200"), 400, "{}");
	struct request *post = next("POST", RECORDS);
	assert_non_null(strstr(post->kube.body, "\"source\":\"kubelet\""));
	respond(post, 201, "{}");
	assert_metric("lastword_observer_missed_logs_total{reason=\"refused\"} 1\n");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_logs_of_a_lost_node),
	                                   cmocka_unit_test(test_a_pod_is_known_by_its_uid),
	                                   TEST(test_lost_reports_are_counted),
	                                   TEST(test_a_missed_log_is_counted)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
