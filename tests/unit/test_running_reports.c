/* What watchdogs report of agents that run on: when it is looked for, and whom it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buffer.h"
#include "observer/evidence/running_reports.h"

#define MINUTE (60 * SECOND)
#define START  (INT64_C(1795867200) * SECOND) /* 2026-11-28T12:00:00Z */

struct fixture {
	struct event_loop loop;
	struct observer_metrics *metrics;
	struct running_reports reports;
	struct pod_cache cache;
	struct request *look; /* that is in flight */
	unsigned looks;
	unsigned events;
	char last_event[4096];
};

static void set_up(struct fixture *f)
{
	*f = (struct fixture){.looks = 0};
	event_loop_init(&f->loop, 1, 100);
	f->loop.now = 1000 * SECOND;
	f->loop.wall = START;
	f->metrics = observer_metrics_new();
	assert_non_null(f->metrics);
	assert_true(pod_cache_init(&f->cache));
	running_reports_init(&f->reports, &f->loop, f->metrics);
	running_reports_set_leader(&f->reports, true);
}

static void tear_down(struct fixture *f)
{
	running_reports_free(&f->reports);
	pod_cache_free(&f->cache);
	event_loop_free(&f->loop);
	observer_metrics_free(f->metrics);
}

static struct cached_pod *add_pod(struct fixture *f, const char *uid)
{
	const struct termination facts = {.namespace = "a",
	                                  .pod = "coder",
	                                  .uid = uid,
	                                  .container = "main",
	                                  .owner_api_version = "batch/v1",
	                                  .owner_kind = "Job",
	                                  .owner_name = "job",
	                                  .owner_uid = "job-uid"};
	struct cached_pod *pod = pod_cache_add(&f->cache, &facts, 1);
	assert_non_null(pod);
	snprintf(pod->agents[0].name, sizeof pod->agents[0].name, "main");
	pod->agents[0].watched = true;
	pod->agents[0].running = 0;
	pod->agents[0].started_at = f->loop.wall;
	return pod;
}

static void serve(struct fixture *f)
{
	struct kube_response _cleanup_kube_response_ response;
	kube_response_init(&response);
	for (struct request *r; (r = event_loop_next_request(&f->loop)) != NULL;) {
		if (r->kube.method == NULL) {
			f->look = r;
			f->looks++;
			continue;
		}
		snprintf(f->last_event, sizeof f->last_event, "%.*s", (int)r->kube.body_length,
		         r->kube.body);
		f->events++;
		event_loop_finish_request(&f->loop, r, &response, NULL);
	}
}

static void respond(struct fixture *f, const char *log, bool good)
{
	struct kube_response _cleanup_kube_response_ response;
	struct error error;
	kube_response_init(&response);
	error_set(&error, "no");
	assert_non_null(f->look);
	if (log[0] != '\0')
		event_loop_receive(f->look, log, strlen(log));
	event_loop_finish_request(&f->loop, f->look, &response, good ? NULL : &error);
	f->look = NULL;
	serve(f);
}

static void pass(struct fixture *f, int64_t time)
{
	int64_t until = f->loop.now + time;
	int64_t wall = f->loop.wall + time;
	for (int64_t next; (next = event_loop_next_timer(&f->loop)) <= until;) {
		if (next > f->loop.now) {
			f->loop.wall += next - f->loop.now;
			f->loop.now = next;
		}
		event_loop_fire_timers(&f->loop);
		serve(f);
		if (f->look != NULL && f->loop.now < until)
			break; /* the test answers it */
	}
	if (f->look == NULL) {
		f->loop.now = until;
		f->loop.wall = wall;
	}
}

static const char deadline_report[] =
        "{\"event\":\"deadline\",\"time\":\"2026-11-28T12:30:00.1Z\",\"uid\":\"u\",\"container\":"
        "\"main\",\"duration_seconds\":1800.1,\"payload_snippet\":\"step 7 of 9\"}\n";

static void test_a_deadline_is_looked_for_when_it_is_over(void **state)
{
	struct fixture f;
	const struct pod pod = {.report_deadline = 30 * MINUTE};
	(void)state;
	set_up(&f);
	struct cached_pod *cached = add_pod(&f, "u");
	running_reports_take(&f.reports, &pod, cached);
	pass(&f, 30 * MINUTE);
	assert_int_equal(f.looks, 0);
	pass(&f, MINUTE);
	assert_int_equal(f.looks, 1);
	assert_non_null(strstr(f.look->kube.path,
	                       "/pods/coder/log?container=lastword-watchdog&sinceTime="));
	respond(&f, deadline_report, true);
	assert_int_equal(f.events, 2); /* pod and owner */
	assert_non_null(strstr(f.last_event, "\"kind\":\"Job\""));
	assert_non_null(strstr(f.last_event, "\"reason\":\"AgentDeadlineExceeded\""));
	assert_non_null(strstr(f.last_event, "for 30m0s. Last output: step 7 of 9"));
	/* Once. */
	running_reports_take(&f.reports, &pod, cached);
	pass(&f, 600 * MINUTE);
	assert_int_equal(f.looks, 1);
	/* The next run has a deadline of its own. */
	cached->agents[0].running = 1;
	cached->agents[0].started_at = f.loop.wall;
	running_reports_take(&f.reports, &pod, cached);
	pass(&f, 31 * MINUTE);
	assert_int_equal(f.looks, 2);
	respond(&f, deadline_report, true); /* the old one again */
	assert_int_equal(f.events, 2);
	tear_down(&f);
}

static void silent_report(char out[512], const char *time, const char *container, const char *uid)
{
	snprintf(out, 512,
	         "{\"event\":\"silent-agent\",\"time\":\"%s\",\"uid\":\"%s\",\"container\":\"%s\","
	         "\"silence_seconds\":300.5}\n",
	         time, uid, container);
}

static void test_silence_is_looked_for_again_and_again(void **state)
{
	struct fixture f;
	char report[512];
	const struct pod pod = {.report_silence = 5 * MINUTE};
	(void)state;
	set_up(&f);
	struct cached_pod *cached = add_pod(&f, "u");
	running_reports_take(&f.reports, &pod, cached);
	pass(&f, 4 * MINUTE);
	assert_int_equal(f.looks, 0);
	pass(&f, 2 * MINUTE);
	assert_int_equal(f.looks, 1);
	respond(&f, "not a report\n{\"event\":\"flush\",\"container\":\"main\"}\n", true);
	assert_int_equal(f.events, 0);
	pass(&f, 6 * MINUTE);
	assert_int_equal(f.looks, 2);
	silent_report(report, "2026-11-28T12:09:00Z", "main", "u");
	respond(&f, report, true);
	assert_int_equal(f.events, 2);
	assert_non_null(strstr(f.last_event, "\"reason\":\"AgentStalled\""));
	assert_non_null(strstr(f.last_event, "Container main prints nothing, for 5m0s"));
	/* The log could not be read: what was in it comes with the next look. */
	pass(&f, 6 * MINUTE);
	respond(&f, "", false);
	pass(&f, 6 * MINUTE);
	assert_int_equal(f.looks, 4);
	silent_report(report, "2026-11-28T12:16:00Z", "main", "u");
	respond(&f, report, true);
	assert_int_equal(f.events, 4);
	/* Others' reports, and of containers that are no agents. */
	pass(&f, 6 * MINUTE);
	silent_report(report, "2026-11-28T13:00:00Z", "main", "other");
	respond(&f, report, true);
	pass(&f, 6 * MINUTE);
	silent_report(report, "2026-11-28T13:00:00Z", "helper", "u");
	respond(&f, report, true);
	assert_int_equal(f.events, 4);
	/* It has ended. */
	cached->agents[0].running = -1;
	running_reports_take(&f.reports, &pod, cached);
	assert_null(cached->look);
	pass(&f, 60 * MINUTE);
	assert_int_equal(f.looks, 6);
	tear_down(&f);
}

static void test_one_look_reports_a_few(void **state)
{
	struct fixture f;
	struct buffer log;
	const struct pod pod = {.report_silence = MINUTE};
	(void)state;
	set_up(&f);
	running_reports_take(&f.reports, &pod, add_pod(&f, "u"));
	pass(&f, 2 * MINUTE);
	buffer_init(&log, (size_t)1 << 20);
	for (int i = 0; i < 60; i++) {
		char report[512];
		char time[32];
		snprintf(time, sizeof time, "2026-11-28T12:00:%02dZ", i);
		silent_report(report, time, "main", "u");
		buffer_append_text(&log, report);
	}
	respond(&f, buffer_text(&log), true);
	assert_int_equal(f.events, 2 * RUNNING_EVENTS_MAX);
	/* However many pods of a namespace do that. */
	for (int i = 0; i < 20; i++) {
		char uid[16];
		snprintf(uid, sizeof uid, "v%d", i);
		running_reports_take(&f.reports, &pod, add_pod(&f, uid));
	}
	f.loop.now += 2 * MINUTE;
	f.loop.wall += 2 * MINUTE;
	event_loop_fire_timers(&f.loop);
	struct request *looks[32];
	size_t count = 0;
	while (count < 32 && (looks[count] = event_loop_next_request(&f.loop)) != NULL)
		count++;
	assert_int_equal(count, 21);
	for (size_t i = 0; i < count; i++) {
		f.look = looks[i];
		respond(&f,
		        "{\"event\":\"silent-agent\",\"time\":\"2026-11-28T12:03:00Z\","
		        "\"container\":\"main\"}\n",
		        true);
	}
	assert_in_range(f.events, 2 * EVENT_BURST, 2 * (EVENT_BURST + 3));
	buffer_free(&log);
	tear_down(&f);
}

static void test_who_does_not_lead_makes_up_for_it(void **state)
{
	struct fixture f;
	char report[512];
	const struct pod pod = {.report_silence = 5 * MINUTE};
	(void)state;
	set_up(&f);
	running_reports_set_leader(&f.reports, false);
	running_reports_take(&f.reports, &pod, add_pod(&f, "u"));
	pass(&f, 30 * MINUTE);
	assert_int_equal(f.looks, 0);
	running_reports_set_leader(&f.reports, true);
	pass(&f, 2 * MINUTE);
	assert_int_equal(f.looks, 1);
	silent_report(report, "2026-11-28T12:27:00Z", "main", "u");
	respond(&f, report, true);
	assert_int_equal(f.events, 2);
	tear_down(&f);
}

static void test_a_pod_that_goes_during_a_look(void **state)
{
	struct fixture f;
	char report[512];
	const struct pod pod = {.report_silence = MINUTE};
	(void)state;
	set_up(&f);
	struct cached_pod *cached = add_pod(&f, "u");
	running_reports_take(&f.reports, &pod, cached);
	pass(&f, 2 * MINUTE);
	assert_int_equal(f.looks, 1);
	running_reports_end(cached);
	pod_cache_remove(&f.cache, cached);
	silent_report(report, "2026-11-28T12:01:00Z", "main", "u");
	respond(&f, report, true);
	assert_int_equal(f.events, 0);
	assert_null(f.reports.first);
	/* And one that is there when all is given up. */
	cached = add_pod(&f, "v");
	running_reports_take(&f.reports, &pod, cached);
	pass(&f, 2 * MINUTE);
	assert_int_equal(f.looks, 2);
	tear_down(&f);
}

static void test_looks_are_bounded(void **state)
{
	struct fixture f;
	const struct pod pod = {.report_silence = MINUTE};
	const struct pod none = {.report_silence = 0};
	char uid[16];
	(void)state;
	set_up(&f);
	for (int i = 0; i < 1000; i++) {
		snprintf(uid, sizeof uid, "u%d", i);
		running_reports_take(&f.reports, i == 0 ? &none : &pod, add_pod(&f, uid));
	}
	f.loop.now += MINUTE;
	f.loop.wall += MINUTE;
	event_loop_fire_timers(&f.loop);
	serve(&f);
	assert_int_equal(f.looks, RUNNING_LOOKS_BURST);
	for (int i = 0; i < 10; i++) {
		f.loop.now += SECOND;
		f.loop.wall += SECOND;
		event_loop_fire_timers(&f.loop);
		serve(&f);
	}
	assert_in_range(f.looks, RUNNING_LOOKS_BURST + 1,
	                RUNNING_LOOKS_BURST + 10 * RUNNING_LOOKS_PER_SECOND);
	tear_down(&f);
}

/* The webhook's decision record says what there may be. */
static void test_the_decision_record_is_read(void **state)
{
	static const char text[] =
	        "{\"metadata\":{\"namespace\":\"a\",\"name\":\"p\",\"uid\":\"u\",\"annotations\":"
	        "{\"lastword.dev/status\":\"{\\\"containers\\\":[{\\\"name\\\":\\\"main\\\"}],"
	        "\\\"reports\\\":{\\\"deadline\\\":\\\"1h30m0s\\\",\\\"silenceAfter\\\":"
	        "\\\"%s\\\"}}\"}},\"spec\":{\"containers\":[{\"name\":\"main\"}]}}";
	static const struct {
		const char *written;
		int64_t silence;
	} cases[] = {{"15m", 15 * MINUTE}, {"0s", 0}, {"-5m", 0}, {"soon", 0}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char object[512];
		struct pod pod;
		json *root;
		struct arena *arena = arena_new(0);
		snprintf(object, sizeof object, text, cases[i].written);
		assert_int_equal(json_parse(arena, object, strlen(object), 0, &root, NULL),
		                 JSON_FAITHFUL);
		assert_true(pod_read(arena, root, &pod, NULL));
		assert_int_equal(pod.report_deadline, 90 * MINUTE);
		assert_int_equal(pod.report_silence, cases[i].silence);
		arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_a_deadline_is_looked_for_when_it_is_over),
	        cmocka_unit_test(test_silence_is_looked_for_again_and_again),
	        cmocka_unit_test(test_one_look_reports_a_few),
	        cmocka_unit_test(test_who_does_not_lead_makes_up_for_it),
	        cmocka_unit_test(test_a_pod_that_goes_during_a_look),
	        cmocka_unit_test(test_looks_are_bounded),
	        cmocka_unit_test(test_the_decision_record_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
