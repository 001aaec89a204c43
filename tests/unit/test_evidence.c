/* Terminations on a lost node are recorded at once: nobody responds for its logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "observer/evidence/evidence.h"
#include "observer/pod/pod_lookup.h"

static void ignore(void *context)
{
	(void)context;
}

static void ignore_record(void *context, const char *namespace, const char *identity,
                          int64_t ended_at)
{
	(void)context;
	(void)namespace;
	(void)identity;
	(void)ended_at;
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_logs_of_a_lost_node),
	                                   cmocka_unit_test(test_a_pod_is_known_by_its_uid)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
