/* Receivers: the pure parts, and which requests records cause as time passes. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "observer/receiver/backoff.h"
#include "observer/receiver/open_alerts.h"
#include "observer/receiver/payload.h"
#include "observer/receiver/receiver_queue.h"
#include "observer/receiver/receivers.h"
#include "observer/receiver/storm.h"
#include "tests/unit/failing_malloc.h"
#include "tests/unit/loop_world.h"

/* ---- What a response means ---- */

static void test_outcomes(void **state)
{
	static const struct {
		long status;
		int64_t retry_after;
		enum outcome outcome;
	} cases[] = {
	        {200, -1, OUTCOME_ACCEPTED}, {202, -1, OUTCOME_ACCEPTED},
	        {204, -1, OUTCOME_ACCEPTED}, {0, -1, OUTCOME_RETRY},
	        {408, -1, OUTCOME_RETRY},    {429, -1, OUTCOME_RETRY},
	        {500, -1, OUTCOME_RETRY},    {503, 5, OUTCOME_RETRY},
	        {599, -1, OUTCOME_RETRY},    {403, 0, OUTCOME_RETRY},
	        {403, -1, OUTCOME_REFUSED},  {400, -1, OUTCOME_REFUSED},
	        {301, -1, OUTCOME_REFUSED},  {401, -1, OUTCOME_REFUSED},
	        {404, 9, OUTCOME_REFUSED},   {100, -1, OUTCOME_REFUSED},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(backoff_outcome(cases[i].status, cases[i].retry_after),
		                 cases[i].outcome);
}

static void test_backoff(void **state)
{
	(void)state;
	for (unsigned failures = 1; failures < 40; failures++) {
		int64_t most = failures > 9 ? BACKOFF_MAX : BACKOFF_MIN << (failures - 1);
		most = most > BACKOFF_MAX ? BACKOFF_MAX : most;
		for (uint64_t random = 0; random < 20; random++) {
			uint64_t number = random * UINT64_C(0x0fedcba987654321);
			int64_t delay = backoff_delay(failures, -1, number);
			assert_true(delay >= most / 2 && delay <= most);
			delay = backoff_delay(failures, 20 * SECOND, number);
			assert_true(delay >= 20 * SECOND && delay <= BACKOFF_MAX);
		}
	}
	/* Nobody may silence a receiver for a year. */
	assert_true(backoff_delay(1, INT64_MAX, 7) <= BACKOFF_RETRY_AFTER + SECOND);
}

/* ---- Storms ---- */

static struct agent_exit failure(const char *owner, const char *fingerprint)
{
	struct agent_exit exit;
	agent_exit_init(&exit);
	exit.namespace = "agents";
	exit.owner = owner;
	exit.container = "main";
	exit.fingerprint = fingerprint;
	return exit;
}

static void test_a_storm_is_limited(void **state)
{
	(void)state;
	struct storm *storm = calloc(1, sizeof *storm);
	const struct agent_exit one = failure("Job/writer-1", "1111111111111111");
	const struct storm_keys keys = storm_keys_of(&one);
	int64_t now = SECOND;
	assert_non_null(storm);
	for (int i = 0; i < STORM_BURST; i++)
		assert_int_equal(storm_charge(storm, &keys, now), 0);
	assert_int_equal(storm_charge(storm, &keys, now), keys.fingerprint);
	int64_t due = storm_allows_at(storm, &keys, keys.fingerprint);
	assert_true(due > now && due <= now + STORM_INTERVAL);
	assert_int_equal(storm_charge(storm, &keys, due - 1), keys.fingerprint);
	assert_int_equal(storm_charge(storm, &keys, due), 0);
	assert_int_equal(storm_charge(storm, &keys, due), keys.fingerprint);
	free(storm);
}

/* Each failure has another text; the family is what limits them. */
static void test_texts_that_differ_are_limited(void **state)
{
	(void)state;
	struct storm *storm = calloc(1, sizeof *storm);
	unsigned passed = 0;
	assert_non_null(storm);
	for (unsigned i = 0; i < 500; i++) {
		char owner[32];
		char fingerprint[17];
		snprintf(owner, sizeof owner, "Job/nightly-284123%02u", i % 100);
		snprintf(fingerprint, sizeof fingerprint, "%016x", i);
		const struct agent_exit exit = failure(owner, fingerprint);
		const struct storm_keys keys = storm_keys_of(&exit);
		passed += storm_charge(storm, &keys, SECOND) == 0;
	}
	assert_int_equal(passed, STORM_BURST_OF_FAMILY);
	const struct agent_exit other = failure("Job/hourly-28412346", "1");
	const struct storm_keys keys = storm_keys_of(&other);
	assert_int_equal(storm_charge(storm, &keys, SECOND), 0);
	free(storm);
}

/* ---- The queue ---- */

static struct receiver_delivery *delivery(size_t bytes)
{
	struct receiver_delivery *made = calloc(1, sizeof *made);
	assert_non_null(made);
	made->bytes = bytes;
	return made;
}

static void test_namespaces_take_turns(void **state)
{
	static const size_t order[] = {1, 10, 100, 2, 11, 3};
	struct receiver_queue queue = {.count = 0};
	(void)state;
	for (size_t i = 1; i <= 3; i++)
		assert_true(receiver_queue_push(&queue, "a", delivery(i), false));
	assert_true(receiver_queue_push(&queue, "b", delivery(11), false));
	assert_true(receiver_queue_push(&queue, "b", delivery(10), true));
	assert_true(receiver_queue_push(&queue, "c", delivery(100), false));
	assert_int_equal(queue.bytes, 127);
	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
		struct receiver_delivery *next_one = receiver_queue_pop(&queue);
		assert_int_equal(next_one->bytes, order[i]);
		free(next_one);
	}
	assert_null(receiver_queue_pop(&queue));
	assert_int_equal(queue.bytes, 0);
}

static void test_a_storm_displaces_nobody_else(void **state)
{
	struct receiver_queue queue = {.count = 0};
	struct receiver_delivery *displaced;
	(void)state;
	for (size_t i = 0; i < 10; i++)
		assert_true(receiver_queue_push(&queue, "storm", delivery(100 + i), false));
	assert_true(receiver_queue_push(&queue, "calm", delivery(100), false));
	/* The largest takes nothing from others, and nothing from itself. */
	assert_null(receiver_queue_displace(&queue, "storm", 100));
	displaced = receiver_queue_displace(&queue, "calm", 100);
	assert_int_equal(displaced->bytes, 109);
	free(displaced);
	displaced = receiver_queue_displace(&queue, "new", 100);
	assert_int_equal(displaced->bytes, 108);
	free(displaced);
	assert_int_equal(queue.count, 9);
	assert_null(receiver_queue_displace(&queue, "new", 5000));
	while ((displaced = receiver_queue_pop(&queue)) != NULL)
		free(displaced);
	assert_int_equal(queue.bytes, 0);
}

/* ---- W3C trace context ---- */

static void test_traceparent(void **state)
{
	static const char good[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
	char bad[80];
	(void)state;
	assert_true(payload_traceparent_valid(good));
	assert_false(payload_traceparent_valid(NULL));
	for (size_t i = 0; i < sizeof good - 1; i++) {
		snprintf(bad, sizeof bad, "%.*s", (int)i, good);
		assert_false(payload_traceparent_valid(bad));
		snprintf(bad, sizeof bad, "%s", good);
		bad[i] = 'G';
		assert_false(payload_traceparent_valid(bad));
	}
	snprintf(bad, sizeof bad, "%s-x", good);
	assert_false(payload_traceparent_valid(bad));
	assert_false(payload_traceparent_valid(
	        "00-00000000000000000000000000000000-b7ad6b7169203331-01"));
	assert_false(payload_traceparent_valid(
	        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"));
}

/* ---- Templates ---- */

static struct receiver_config *config_of(const char *receivers)
{
	char text[4096];
	struct receiver_config *config = NULL;
	struct error error = {""};
	snprintf(text, sizeof text,
	         "apiVersion: lastword.dev/v1alpha1\nkind: ObserverConfig\nreceivers: %s\n",
	         receivers);
	if (!receiver_config_parse(text, strlen(text), &config, &error))
		fail_msg("%s", error.message);
	return config;
}

static void test_a_body(void **state)
{
	struct buffer _cleanup_buffer_ out;
	struct receiver_config *config = config_of(
	        "[{name: a, type: webhook, url: 'http://x', labels: {cluster: west}, body: "
	        "{a: 'x{{ summary }}y{{summary}}', b: ['{{json exitCode}}', '{{json signal}}', "
	        "'{{json silent}}', 1.50, true, null, {}, []], c: {d: '{{slack summary}}'}, "
	        "e: '{{fenced payloadSnippet}}', f: '{{labels.cluster}} {{context.run}}', "
	        "g: '{{durationSeconds}} {{runningContainers}} {{status}}/{{action}}'}}]");
	struct agent_exit exit = failure("Job/writer-1", "1");
	(void)state;
	exit.summary = "say \"<no>\" & {{summary}}\n";
	exit.payload_snippet = "``` and ````";
	exit.exit_code = 3;
	exit.duration = 1500 * MILLISECOND;
	exit.running_containers[exit.running_container_count++] = "one";
	exit.running_containers[exit.running_container_count++] = "two";
	agent_exit_add_context(&exit, "run", "7");
	const struct notice notice = {.exit = &exit, .settings = &config->receivers[0]};
	buffer_init(&out, 1 << 16);
	payload_write(&notice, 1, WORLD_BEGIN, &out);
	assert_string_equal(
	        buffer_text(&out),
	        "{\"a\":\"xsay \\\"<no>\\\" & {{summary}}\\nysay \\\"<no>\\\" & {{summary}}\\n\","
	        "\"b\":[3,null,false,1.50,true,null,{},[]],"
	        "\"c\":{\"d\":\"say \\\"&lt;no&gt;\\\" &amp; {{summary}}\\n\"},"
	        "\"e\":\"`````\\n``` and ````\\n`````\",\"f\":\"west 7\","
	        "\"g\":\"1.5 one, two firing/trigger\"}");
	receiver_config_free(config);
}

/* ---- Open alerts ---- */

static void test_open_alerts(void **state)
{
	struct buffer _cleanup_buffer_ out;
	struct open_alerts alerts = {.count = 0};
	struct receiver_config *config =
	        config_of("[{name: a, type: alertmanager, url: 'http://x'}]");
	struct agent_exit exit = failure("Job/writer-1", "1");
	(void)state;
	exit.finished_at = WORLD_BEGIN;
	exit.error_type = "Panic";
	const struct notice notice = {.exit = &exit, .settings = &config->receivers[0]};
	open_alerts_set(&alerts, &notice, 1, WORLD_BEGIN + 100 * SECOND);
	open_alerts_set(&alerts, &notice, 1, WORLD_BEGIN + 100 * SECOND);
	assert_int_equal(alerts.count, 1);
	assert_false(open_alerts_has_others(&alerts, &notice, 1));
	assert_true(open_alerts_has_others(&alerts, &notice, 2));
	open_alerts_set(&alerts, &notice, 2, WORLD_BEGIN + 200 * SECOND);
	assert_true(open_alerts_has_others(&alerts, &notice, 1));
	open_alerts_clear(&alerts, &notice, 1);
	assert_int_equal(alerts.count, 1);

	buffer_init(&out, 1 << 16);
	assert_int_equal(open_alerts_write(&alerts, 0, 64, WORLD_BEGIN, &out), 1);
	assert_non_null(strstr(buffer_text(&out), "\"endsAt\":\"2026-11-23T18:43:00.000000Z\"}]"));
	assert_int_equal(open_alerts_write(&alerts, 1, 64, WORLD_BEGIN, &out), 0);
	buffer_clear(&out);
	assert_int_equal(open_alerts_write(&alerts, 0, 64, WORLD_BEGIN + 200 * SECOND, &out), 1);
	assert_non_null(strstr(buffer_text(&out), "\"endsAt\":\"2026-11-23T18:41:20.000000Z\"}]"));
	open_alerts_forget_expired(&alerts, WORLD_BEGIN + 200 * SECOND);
	assert_int_equal(alerts.count, 0);

	open_alerts_set(&alerts, &notice, 3, WORLD_BEGIN + 100 * SECOND);
	open_alerts_clear(&alerts, &notice, 3);
	assert_int_equal(alerts.count, 0);
	for (unsigned i = 0; i < OPEN_ALERTS_MAX + 10; i++) {
		char task[16];
		snprintf(task, sizeof task, "%u", i);
		exit.task_id = task;
		open_alerts_set(&alerts, &notice, i + 1, WORLD_BEGIN + 100 * SECOND);
	}
	assert_int_equal(alerts.count, OPEN_ALERTS_MAX);
	open_alerts_free(&alerts);
	receiver_config_free(config);
}

/* ---- All together ---- */

static struct receivers receivers;
static unsigned rereads;
static char config_path[] = "/tmp/test_receivers.XXXXXX";

static void reread(void *context)
{
	(void)context;
	rereads++;
}

static void write_config(const char *text)
{
	FILE *file = fopen(config_path, "w");
	assert_non_null(file);
	fprintf(file, "apiVersion: lastword.dev/v1alpha1\nkind: ObserverConfig\nreceivers: %s\n",
	        text);
	fclose(file);
}

static void begin(const char *text)
{
	world_init();
	rereads = 0;
	write_config(text);
	assert_true(
	        receivers_init(&receivers, &world.loop, world.metrics, config_path, reread, NULL));
	receivers_set_leader(&receivers, true);
}

static void end(void)
{
	receivers_free(&receivers);
	world_free();
}

#define HOOK                                                                                    \
	"[{name: hook, type: webhook, url: 'http://hook/', body: {n: '{{record}}', s: '{{json " \
	"similar}}', t: '{{status}}'}}]"
#define HOOK_RESOLVED                                                                            \
	"[{name: hook, type: webhook, url: 'http://hook/', filter: {resolved: true}, body: {n: " \
	"'{{record}}', s: '{{json similar}}', t: '{{status}}'}}]"
#define PATH(name) "/apis/lastword.dev/v1alpha1/namespaces/agents/agentexits/" name "/status"

/* A record as the writer leaves it. */
static struct agent_exit record(const char *name, const char *state)
{
	struct agent_exit exit = failure("Job/writer-1", "1111111111111111");
	exit.name = name;
	exit.pod = name;
	exit.uid = "1234";
	exit.restart_count = 0;
	exit.error_type = "Panic";
	exit.source = AGENT_EXIT_SOURCE_LOG;
	exit.created_at = exit.finished_at = world.loop.wall;
	exit.notifications[exit.notification_count++] =
	        (struct agent_exit_notification){.receiver = "event-pod",
	                                         .state = AGENT_EXIT_NOTIFICATION_DELIVERED,
	                                         .id = "the-event",
	                                         .time = world.loop.wall,
	                                         .attempts = 1};
	if (state != NULL)
		exit.notifications[exit.notification_count++] =
		        (struct agent_exit_notification){.receiver = "hook",
		                                         .state = state,
		                                         .time = AGENT_EXIT_UNKNOWN,
		                                         .attempts = -1};
	return exit;
}

static void offer(const char *name, const char *state)
{
	const struct agent_exit exit = record(name, state);
	receivers_offer(&receivers, &exit, false);
}

static struct request *next_post(const char *body)
{
	struct request *request = next("POST", "http://hook/");
	assert_string_equal(request->kube.body, body);
	assert_non_null(request->outside);
	return request;
}

/* The status is written a second later. */
static void expect_status(const char *path, const char *entry)
{
	world_pass(SECOND);
	struct request *patch = next("PATCH", path);
	assert_non_null(strstr(patch->kube.body, "\"id\":\"the-event\""));
	if (strstr(patch->kube.body, entry) == NULL)
		fail_msg("%s is not in %s", entry, patch->kube.body);
	respond(patch, 200, "{}");
}

static void test_delivered_once(void **state)
{
	(void)state;
	begin(HOOK);
	offer("a", AGENT_EXIT_NOTIFICATION_PENDING);
	struct request *post = next_post("{\"n\":\"a\",\"s\":0,\"t\":\"firing\"}");
	offer("a", AGENT_EXIT_NOTIFICATION_PENDING);
	respond(post, 200, "");
	offer("a", AGENT_EXIT_NOTIFICATION_PENDING);
	expect_status(
	        PATH("a"),
	        "{\"receiver\":\"hook\",\"state\":\"Delivered\",\"id\":\"1234.main.0\",\"time\":\""
	        "2026-11-23T18:38:00.000000Z\",\"attempts\":1}");
	/* Older copies of the record come later, from a list and from a response. */
	const struct agent_exit old = record("a", AGENT_EXIT_NOTIFICATION_PENDING);
	receivers_offer(&receivers, &old, true);
	receivers_offer(&receivers, &old, false);
	offer("a", AGENT_EXIT_NOTIFICATION_DELIVERED);
	offer("b", AGENT_EXIT_NOTIFICATION_FAILED);
	offer("c", AGENT_EXIT_NOTIFICATION_GROUPED);
	offer("d", NULL);
	no_request();
	assert_int_equal(receivers.records.count, 0);
	end();
}

/* A full list of receivers that are not configured any more has room for one that is. */
static void test_entries_of_other_configurations(void **state)
{
	(void)state;
	char names[AGENT_EXIT_NOTIFICATIONS_MAX][16];
	begin("[{name: hook, type: webhook, url: 'http://hook/', filter: {silentOnly: true}}]");
	struct agent_exit exit = record("a", NULL);
	for (unsigned i = 1; i < AGENT_EXIT_NOTIFICATIONS_MAX; i++) {
		snprintf(names[i], sizeof names[i], "old-%u", i);
		exit.notifications[exit.notification_count++] = (struct agent_exit_notification){
		        .receiver = names[i], .state = "Delivered", .time = -1, .attempts = 1};
	}
	exit.conditions[exit.condition_count++] =
	        (struct agent_exit_condition){.type = AGENT_EXIT_SILENT,
	                                      .status = "True",
	                                      .last_transition_time = world.loop.wall};
	receivers_offer(&receivers, &exit, false);
	respond(next("POST", "http://hook/"), 200, "");
	expect_status(PATH("a"), "{\"receiver\":\"hook\",\"state\":\"Delivered\"");
	end();
}

static void test_tried_again_and_given_up(void **state)
{
	(void)state;
	begin(HOOK);
	offer("a", AGENT_EXIT_NOTIFICATION_PENDING);
	respond(next("POST", "http://hook/"), 503, "");
	no_request();
	world_pass(SECOND);
	respond(next("POST", "http://hook/"), 0, "");
	world_pass(2 * SECOND);
	respond(next("POST", "http://hook/"), 400, "");
	expect_status(PATH("a"), "\"state\":\"Failed\",\"id\":\"1234.main.0\",\"time\":\"2026-11-"
	                         "23T18:38:03.000000Z\","
	                         "\"attempts\":3,\"message\":\"refused\"");
	assert_metric("lastword_receiver_dropped_total{receiver=\"hook\"} 1");
	assert_metric("lastword_notifications_total{receiver=\"hook\",result=\"retried\"} 2");
	no_request();
	end();
}

/* Trouble that lasts is in the record, and nothing of it is left when it is over; whoever leads no
 * more writes nothing about it. */
static void test_why_it_waits(void **state)
{
	(void)state;
	begin(HOOK);
	offer("a", AGENT_EXIT_NOTIFICATION_PENDING);
	respond(next("POST", "http://hook/"), 503, "");
	world_pass(SECOND);
	respond(next("POST", "http://hook/"), 503, "");
	world_pass(2 * SECOND);
	struct request *third = next("POST", "http://hook/");
	world_pass(TRACKED_RECORD_POSTPONED - 4 * SECOND);
	no_request();
	expect_status(PATH("a"), "\"state\":\"Pending\",\"id\":\"1234.main.0\",\"time\":\"2026-11-"
	                         "23T18:38:00.000000Z\",\"attempts\":2,\"message\":\"refused\"");
	respond(third, 200, "");
	expect_status(PATH("a"),
	              "\"state\":\"Delivered\",\"id\":\"1234.main.0\",\"time\":\"2026-11-"
	              "23T18:38:10.000000Z\",\"attempts\":3}");
	offer("b", AGENT_EXIT_NOTIFICATION_PENDING);
	respond(next("POST", "http://hook/"), 503, "");
	receivers_set_leader(&receivers, false);
	world_pass(2 * TRACKED_RECORD_POSTPONED);
	no_request();
	end();
}

/* Four requests at a time; their failures count once, and then there is one at a time. */
static void test_failures_of_several_requests(void **state)
{
	struct request *requests[RECEIVER_IN_FLIGHT];
	char name[16];
	(void)state;
	begin("[{name: hook, type: cloudevents, url: 'http://hook/'}]");
	for (unsigned i = 0; i < 8; i++) {
		snprintf(name, sizeof name, "n%u", i);
		offer(name, AGENT_EXIT_NOTIFICATION_PENDING);
	}
	for (unsigned i = 0; i < RECEIVER_IN_FLIGHT; i++)
		requests[i] = next("POST", "http://hook/");
	no_request();
	for (unsigned i = 0; i < RECEIVER_IN_FLIGHT; i++)
		respond(requests[i], 500, "");
	world_pass(BACKOFF_MIN);
	struct request *one = next("POST", "http://hook/");
	no_request();
	respond(one, 200, "");
	for (unsigned i = 0; i < RECEIVER_IN_FLIGHT; i++)
		requests[i] = next("POST", "http://hook/");
	no_request();
	end();
}

/* The resolution must not be overtaken by what was sent before it. */
static void test_alertmanager_has_one_request_at_a_time(void **state)
{
	(void)state;
	begin("[{name: hook, type: alertmanager, url: 'http://am/api/v2/alerts'}]");
	offer("a", AGENT_EXIT_NOTIFICATION_PENDING);
	struct request *first = next("POST", "http://am/api/v2/alerts");
	offer("b", AGENT_EXIT_NOTIFICATION_PENDING);
	no_request();
	respond(first, 200, "");
	struct request *second = next("POST", "http://am/api/v2/alerts");
	expect_status(PATH("a"), "\"state\":\"Delivered\"");
	no_request();
	respond(second, 200, "");
	expect_status(PATH("b"), "\"state\":\"Delivered\"");
	end();
}

static void test_resolved(void **state)
{
	(void)state;
	begin(HOOK_RESOLVED);
	/* It is over before the receiver was reached: both come, in their order. */
	offer("a", AGENT_EXIT_NOTIFICATION_PENDING);
	struct request *post = next_post("{\"n\":\"a\",\"s\":0,\"t\":\"firing\"}");
	struct agent_exit exit = record("a", AGENT_EXIT_NOTIFICATION_PENDING);
	exit.resolved_at = world.loop.wall;
	receivers_offer(&receivers, &exit, false);
	no_request();
	respond(post, 200, "");
	respond(next_post("{\"n\":\"a\",\"s\":0,\"t\":\"resolved\"}"), 200, "");
	expect_status(PATH("a"), "\"receiver\":\"hook\",\"state\":\"Resolved\"");
	/* What a leader of before has delivered. */
	exit = record("b", AGENT_EXIT_NOTIFICATION_DELIVERED);
	exit.resolved_at = world.loop.wall;
	receivers_offer(&receivers, &exit, true);
	respond(next_post("{\"n\":\"b\",\"s\":0,\"t\":\"resolved\"}"), 200, "");
	expect_status(PATH("b"), "\"receiver\":\"hook\",\"state\":\"Resolved\"");
	no_request();
	end();
}

static void test_a_digest(void **state)
{
	char name[16];
	(void)state;
	begin(HOOK);
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "n%u", i);
		offer(name, AGENT_EXIT_NOTIFICATION_PENDING);
	}
	for (unsigned i = 0; i < STORM_BURST; i++)
		respond(next("POST", "http://hook/"), 200, "");
	no_request();
	world_pass(SECOND);
	for (unsigned i = 0; i < STORM_BURST; i++) {
		event_loop_fire_timers(&world.loop);
		respond(event_loop_next_request(&world.loop), 200, "{}");
	}
	no_request();
	world_pass(STORM_INTERVAL);
	respond(next_post("{\"n\":\"n19\",\"s\":16,\"t\":\"firing\"}"), 200, "");
	world_pass(SECOND);
	unsigned grouped = 0;
	for (unsigned i = 0; i < 17; i++) {
		event_loop_fire_timers(&world.loop);
		struct request *patch = event_loop_next_request(&world.loop);
		assert_non_null(patch);
		grouped += strstr(patch->kube.body, "\"state\":\"Grouped\"") != NULL;
		respond(patch, 200, "{}");
	}
	assert_int_equal(grouped, 16);
	no_request();
	assert_int_equal(receivers.records.count, 0);
	end();
}

/* What waited is dropped; what was delivered is written down. */
static void test_another_leader(void **state)
{
	(void)state;
	begin(HOOK);
	offer("a", AGENT_EXIT_NOTIFICATION_PENDING);
	struct request *post = next_post("{\"n\":\"a\",\"s\":0,\"t\":\"firing\"}");
	receivers_set_leader(&receivers, false);
	offer("b", AGENT_EXIT_NOTIFICATION_PENDING);
	no_request();
	respond(post, 200, "");
	expect_status(PATH("a"), "\"receiver\":\"hook\",\"state\":\"Delivered\"");
	no_request();
	receivers_set_leader(&receivers, true);
	const struct agent_exit b = record("b", AGENT_EXIT_NOTIFICATION_PENDING);
	receivers_offer(&receivers, &b, true);
	respond(next_post("{\"n\":\"b\",\"s\":0,\"t\":\"firing\"}"), 503, "");
	receivers_set_leader(&receivers, false);
	world_pass(3600 * SECOND);
	no_request();
	end();
}

static void test_a_new_configuration(void **state)
{
	(void)state;
	begin(HOOK);
	offer("a", AGENT_EXIT_NOTIFICATION_PENDING);
	struct request *post = next_post("{\"n\":\"a\",\"s\":0,\"t\":\"firing\"}");
	write_config("[{name: other, type: loki, url: 'http://x/longer'}]");
	receivers_reload(&receivers);
	assert_string_equal(receivers.list[0].settings->name, "hook");
	respond(post, 200, "");
	receivers_reload(&receivers);
	expect_status(PATH("a"), "\"receiver\":\"hook\",\"state\":\"Delivered\"");
	receivers_reload(&receivers);
	assert_string_equal(receivers.list[0].settings->name, "other");
	assert_int_equal(rereads, 1);
	write_config("[{name: other}]");
	receivers_reload(&receivers);
	assert_string_equal(receivers.list[0].settings->name, "other");
	assert_metric("lastword_observer_config_reloads_total{result=\"failure\"} 1");
	end();
}

/* What does not fit into memory stays in the records, and is read from them later. */
static void test_what_does_not_fit(void **state)
{
	char name[16];
	unsigned waiting = 0;
	(void)state;
	begin("[{name: hook, type: loki, url: 'http://hook/'}]");
	for (unsigned i = 0; i < 6000; i++) {
		snprintf(name, sizeof name, "n%u", i);
		offer(name, AGENT_EXIT_NOTIFICATION_PENDING);
	}
	const struct receiver *receiver = &receivers.list[0];
	assert_true(receiver->queue.bytes <= RECEIVER_BYTES_MAX && receiver->behind);
	struct agent_exit other = record("calm", AGENT_EXIT_NOTIFICATION_PENDING);
	other.namespace = "calm";
	receivers_offer(&receivers, &other, false);
	assert_non_null(tracked_record_find(&receivers.records, "calm", "calm"));
	assert_int_equal(rereads, 0);
	for (struct request *request; (request = event_loop_next_request(&world.loop)) != NULL;
	     event_loop_fire_timers(&world.loop)) {
		waiting += request->outside != NULL;
		respond(request, 204, "{}");
		world_pass(SECOND);
	}
	assert_true(waiting > 10);
	assert_int_equal(receivers.records.count, 0);
	for (int i = 0; i < 10; i++) {
		world_pass(5 * SECOND);
		no_request();
	}
	assert_int_equal(rereads, 1);
	end();
}

/* An alert is sent again until it is over. */
static void test_alerts_are_sent_again(void **state)
{
	(void)state;
	begin("[{name: hook, type: alertmanager, url: 'http://hook/', resolveAfter: 10m}]");
	offer("a", AGENT_EXIT_NOTIFICATION_PENDING);
	respond(next("POST", "http://hook/"), 200, "");
	expect_status(PATH("a"), "\"receiver\":\"hook\",\"state\":\"Delivered\"");
	for (int i = 0; i < 3; i++) {
		world_pass(60 * SECOND);
		respond(next("POST", "http://hook/"), 200, "");
		no_request();
	}
	/* Another failure of the same agent; the first one is over: the alert stays. */
	offer("b", AGENT_EXIT_NOTIFICATION_PENDING);
	respond(next("POST", "http://hook/"), 200, "");
	expect_status(PATH("b"), "\"receiver\":\"hook\",\"state\":\"Delivered\"");
	struct agent_exit exit = record("a", AGENT_EXIT_NOTIFICATION_DELIVERED);
	exit.resolved_at = world.loop.wall;
	receivers_offer(&receivers, &exit, false);
	struct request *post = next("POST", "http://hook/");
	assert_non_null(strstr(post->kube.body, "\"endsAt\":\"2026-11-23T18:46:02.000000Z\""));
	respond(post, 200, "");
	expect_status(PATH("a"), "\"receiver\":\"hook\",\"state\":\"Resolved\"");
	exit = record("b", AGENT_EXIT_NOTIFICATION_DELIVERED);
	exit.resolved_at = world.loop.wall;
	receivers_offer(&receivers, &exit, false);
	post = next("POST", "http://hook/");
	assert_non_null(strstr(post->kube.body, "\"endsAt\":\"2026-11-23T18:41:03.000000Z\""));
	respond(post, 200, "");
	expect_status(PATH("b"), "\"receiver\":\"hook\",\"state\":\"Resolved\"");
	world_pass(600 * SECOND);
	no_request();
	/* A new leader learns from the records what is open. */
	receivers_set_leader(&receivers, false);
	receivers_set_leader(&receivers, true);
	exit = record("c", AGENT_EXIT_NOTIFICATION_DELIVERED);
	receivers_offer(&receivers, &exit, true);
	no_request();
	world_pass(60 * SECOND);
	respond(next("POST", "http://hook/"), 200, "");
	/* It ends by itself. */
	world_pass(600 * SECOND);
	respond(next("POST", "http://hook/"), 200, "");
	world_pass(600 * SECOND);
	no_request();
	end();
}

/* Whatever allocation fails, nothing is lost: what was not delivered is when it is offered again.
 */
static void respond_to_all(unsigned delivered[2])
{
	for (unsigned i = 0; i < 20; i++) {
		struct request *request;
		event_loop_fire_timers(&world.loop);
		while ((request = event_loop_next_request(&world.loop)) != NULL) {
			if (request->outside != NULL)
				delivered[strstr(request->kube.body, "\"n\":\"b\"") != NULL]++;
			respond(request, 200, "{}");
		}
		world_pass(SECOND);
	}
}

static void test_without_memory(void **state)
{
	size_t count = 0;
	(void)state;
	do {
		unsigned delivered[2] = {0, 0};
		begin(HOOK_RESOLVED);
		fail_after(count++, false);
		offer("a", AGENT_EXIT_NOTIFICATION_PENDING);
		offer("b", AGENT_EXIT_NOTIFICATION_PENDING);
		respond_to_all(delivered);
		bool any = failed;
		fail_after(SIZE_MAX, false);
		if (delivered[0] == 0)
			offer("a", AGENT_EXIT_NOTIFICATION_PENDING);
		if (delivered[1] == 0)
			offer("b", AGENT_EXIT_NOTIFICATION_PENDING);
		respond_to_all(delivered);
		assert_int_equal(delivered[0], 1);
		assert_int_equal(delivered[1], 1);
		assert_int_equal(receivers.records.count, 0);
		end();
		failed = any;
	} while (failed);
	assert_true(count > 40);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_outcomes),
	        TEST(test_backoff),
	        TEST(test_a_storm_is_limited),
	        TEST(test_texts_that_differ_are_limited),
	        TEST(test_namespaces_take_turns),
	        TEST(test_a_storm_displaces_nobody_else),
	        TEST(test_traceparent),
	        TEST(test_a_body),
	        TEST(test_open_alerts),
	        TEST(test_delivered_once),
	        TEST(test_entries_of_other_configurations),
	        TEST(test_tried_again_and_given_up),
	        TEST(test_why_it_waits),
	        TEST(test_failures_of_several_requests),
	        TEST(test_alertmanager_has_one_request_at_a_time),
	        TEST(test_resolved),
	        TEST(test_a_digest),
	        TEST(test_another_leader),
	        TEST(test_a_new_configuration),
	        TEST(test_what_does_not_fit),
	        TEST(test_alerts_are_sent_again),
	        TEST(test_without_memory),
	};
	int file = mkstemp(config_path);
	if (file < 0)
		return 1;
	close(file);
	int failures = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(config_path);
	return failures;
}
