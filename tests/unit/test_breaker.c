/* The breaker's state machine (observer/guard/breaker) against a ConfigMap with resource versions:
 * opening, the trial, closing, opening again; conflicts, restarts, another leader, a failing API.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/log.h"
#include "lib/base/timestamp.h"
#include "observer/guard/breaker.h"
#include "tests/unit/loop_world.h"

#define PATH    "/api/v1/namespaces/lastword-system/configmaps/lastword-breaker"
#define EVENTS  "/api/v1/namespaces/agents/events"
#define MINUTE  (60 * SECOND)
#define OPEN    "lastword_breaker_open{namespace=\"agents\"} 1\n"
#define BACKOFF "{\"waiting\":{\"reason\":\"ImagePullBackOff\",\"message\":\"Back-off pulling\"}}"
#define RUNS    "{\"running\":{\"startedAt\":\"2026-11-23T18:38:00Z\"}}"
#define WAITS   "{\"waiting\":{\"reason\":\"PodInitializing\"}}"

static struct breaker breaker;
static struct breaker_state stored; /* the ConfigMap */
static unsigned version;
static struct arena *arena;

static void start(void)
{
	const struct breaker_options options = {.config_map = "lastword-system/lastword-breaker",
	                                        .open_for = 30 * MINUTE};
	struct error error;
	assert_true(breaker_init(&breaker, &world.loop, world.metrics, &options, &error));
}

static int set_up(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR + 1);
	world_init();
	arena = arena_new(1 << 22);
	stored = (struct breaker_state){.entries = NULL};
	version = 1;
	start();
	return arena == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	breaker_free(&breaker);
	breaker_free(&breaker);
	breaker_state_free(&stored);
	arena_free(arena);
	world_free();
	return 0;
}

/* ---- The server ---- */

static void get(void)
{
	struct buffer _cleanup_buffer_ body;
	char number[16];
	buffer_init(&body, 1 << 20);
	snprintf(number, sizeof number, "%u", version);
	breaker_config_map_patch(&stored, number, &body); /* it has the object's form */
	respond(next("GET", PATH), 200, buffer_text(&body));
}

/* Another writer's change, behind a read. */
static void conflict(void)
{
	version++;
}

static void patch(bool refused)
{
	struct request *request = next("PATCH", PATH);
	struct breaker_state state;
	char based_on[BREAKER_VERSION_SIZE];
	struct error error;
	assert_string_equal(request->kube.content_type, KUBE_MERGE_PATCH);
	assert_true(breaker_config_map_parse(request->kube.body, request->kube.body_length, &state,
	                                     based_on, &error));
	if (refused) {
		assert_int_not_equal(atoi(based_on), version);
		breaker_state_free(&state);
		respond(request, 409, "{}");
		return;
	}
	assert_int_equal(atoi(based_on), version);
	breaker_state_free(&stored);
	stored = state;
	version++;
	respond(request, 200, "{}");
}

static void read_and_write(void)
{
	get();
	patch(false);
}

/* Nothing but reads that change nothing for so long. */
static void quiet(int64_t length)
{
	for (int64_t end = world.loop.now + length; world.loop.now < end;) {
		world_pass(BREAKER_INTERVAL);
		get();
		no_request();
	}
}

static void lead(void)
{
	breaker_set_leader(&breaker, true);
	get();
}

static const struct breaker_entry *entry(void)
{
	return breaker_state_find(&stored, "agents");
}

static void assert_position(enum breaker_position position)
{
	assert_non_null(entry());
	assert_int_equal(entry()->position, position);
}

static void assert_no_metric(void)
{
	struct buffer _cleanup_buffer_ out;
	buffer_init(&out, 1 << 20);
	observer_metrics_write(world.metrics, &out);
	assert_null(strstr(buffer_text(&out), "lastword_breaker_open{"));
}

/* ---- Pods ---- */

struct pod_text {
	const char *name;
	int64_t age; /* since its creation */
	int64_t trial;
	const char *watchdog;
	const char *main;
	bool gone;
};

static void take(const struct pod_text *text)
{
	char created[TIMESTAMP_SIZE];
	char trial[TIMESTAMP_SIZE];
	char record[200];
	struct pod pod;
	struct error error;
	json *object;
	timestamp_print(world.loop.wall - text->age, created);
	timestamp_print(text->trial, trial);
	arena_reset(arena);
	snprintf(record, sizeof record, "{%s%s%s\\\"containers\\\":[{\\\"name\\\":\\\"main\\\"}]}",
	         text->trial == 0 ? "" : "\\\"trial\\\":\\\"", text->trial == 0 ? "" : trial,
	         text->trial == 0 ? "" : "\\\",");
	const char *json_text = arena_printf(
	        arena,
	        "{\"metadata\":{\"namespace\":\"agents\",\"name\":\"%s\",\"uid\":\"%s-uid\","
	        "\"creationTimestamp\":\"%s\",\"labels\":{\"lastword.dev/injected\":\"true\"},"
	        "\"annotations\":{\"lastword.dev/status\":\"%s\"},\"ownerReferences\":[{"
	        "\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"name\":\"job\",\"uid\":\"job-uid\","
	        "\"controller\":true}]},"
	        "\"spec\":{\"initContainers\":[{\"name\":\"lastword-watchdog\",\"restartPolicy\":"
	        "\"Always\",\"command\":[\"/shim\",\"watch\",\"--container\",\"main\"]}],"
	        "\"containers\":[{\"name\":\"main\"}]},\"status\":{\"startTime\":\"%s\","
	        "\"initContainerStatuses\":[{\"name\":\"lastword-watchdog\",\"state\":%s}],"
	        "\"containerStatuses\":[{\"name\":\"main\",\"restartCount\":0,\"state\":%s}]}}",
	        text->name, text->name, created, record, created, text->watchdog, text->main);
	assert_non_null(json_text);
	if (json_parse(arena, json_text, strlen(json_text), 0, &object, &error) != JSON_FAITHFUL)
		fail_msg("%s", error.message);
	assert_true(pod_read(arena, object, &pod, &error));
	assert_true(pod.breaker_trial == text->trial);
	breaker_take_pod(&breaker, &pod, text->gone);
}

static void take_stuck(const char *name, int64_t age, int64_t trial)
{
	take(&(struct pod_text){name, age, trial, BACKOFF, WAITS, false});
}

static void take_running(const char *name, int64_t trial)
{
	take(&(struct pod_text){name, SECOND, trial, RUNS, RUNS, false});
}

static void take_events(void)
{
	for (int i = 0; i < 2; i++) {
		struct request *request = next("POST", EVENTS);
		assert_non_null(strstr(request->kube.body, "\"reason\":\"BreakerOpened\""));
		assert_non_null(strstr(request->kube.body,
		                       i == 0 ? "\"kind\":\"Pod\"" : "\"kind\":\"Job\""));
		respond(request, 201, "{}");
	}
}

/* It is open because of a pod, and everything about that is done. */
static void open_it(void)
{
	take_stuck("a", 2 * SECOND, 0);
	read_and_write();
	take_events();
	assert_position(BREAKER_OPEN);
	no_request();
}

static void half_open(void)
{
	open_it();
	world_pass(30 * MINUTE);
	read_and_write();
	assert_position(BREAKER_HALF_OPEN);
	no_request();
}

/* ---- Opening ---- */

static void test_opens(void **state)
{
	(void)state;
	lead();
	assert_no_metric();
	open_it();
	assert_string_equal(entry()->reason, "image");
	assert_string_equal(entry()->message, "Back-off pulling");
	assert_string_equal(entry()->pod, "a");
	assert_true(entry()->until == entry()->since + 30 * MINUTE);
	assert_metric(OPEN);
	/* Others that are stuck, too, and the same one again: nothing new. */
	for (int i = 0; i < 5; i++)
		take_stuck(i == 0 ? "a" : "b", i * SECOND, 0);
	no_request();
	quiet(MINUTE);
}

static void test_running_pods_are_no_reason(void **state)
{
	(void)state;
	lead();
	take_running("a", 0);
	take(&(struct pod_text){"b", SECOND, 0, RUNS, WAITS, false});
	no_request();
	quiet(MINUTE);
	assert_null(entry());
}

static void test_a_refusal_opens(void **state)
{
	(void)state;
	const struct breaker_refusal refusal = {.namespace = "agents",
	                                        .api_version = "batch/v1",
	                                        .kind = "Job",
	                                        .name = "job",
	                                        .uid = "job-uid",
	                                        .message = "minimum cpu usage",
	                                        .at = WORLD_BEGIN};
	lead();
	breaker_take_refusal(&breaker, &refusal);
	read_and_write();
	struct request *request = next("POST", EVENTS); /* to the owner alone */
	assert_non_null(strstr(request->kube.body, "\"kind\":\"Job\""));
	respond(request, 201, "{}");
	no_request();
	assert_position(BREAKER_OPEN);
	assert_string_equal(entry()->reason, "refused");
	assert_string_equal(entry()->pod, "job");
	/* Half-open: an old refusal says nothing, a new one opens it again. */
	world_pass(30 * MINUTE);
	read_and_write();
	assert_position(BREAKER_HALF_OPEN);
	breaker_take_refusal(&breaker, &refusal);
	no_request();
	struct breaker_refusal again = refusal;
	again.at = world.loop.wall + SECOND;
	breaker_take_refusal(&breaker, &again);
	read_and_write();
	assert_position(BREAKER_OPEN);
}

static void test_namespaces_are_apart(void **state)
{
	(void)state;
	breaker_entry_open(breaker_state_add(&stored, "others"), WORLD_BEGIN, 0,
	                   &(struct breaker_cause){"manual", NULL, NULL});
	lead();
	open_it();
	assert_int_equal(stored.count, 2);
	assert_int_equal(breaker_state_find(&stored, "others")->position, BREAKER_OPEN);
	assert_metric("lastword_breaker_open{namespace=\"others\"} 1\n");
}

/* ---- The trial ---- */

static void test_closes_when_the_trial_starts(void **state)
{
	(void)state;
	lead();
	half_open();
	assert_metric(OPEN);
	int64_t trial = entry()->since;
	/* The pods that were stuck before say nothing. */
	take_stuck("a", 31 * MINUTE, 0);
	take_running("old", trial - SECOND);
	take_running("unwrapped", 0);
	no_request();
	take(&(struct pod_text){"t", SECOND, trial, WAITS, WAITS, false});
	read_and_write();
	assert_string_equal(entry()->trial, "t");
	take_running("t", trial);
	read_and_write();
	assert_position(BREAKER_CLOSED);
	assert_no_metric();
	/* Pods that are older than that cannot open it any more, younger ones can. */
	take_stuck("a", 33 * MINUTE, 0);
	no_request();
	world_pass(MINUTE);
	take_stuck("new", SECOND, 0);
	read_and_write();
	assert_position(BREAKER_OPEN);
}

static void test_opens_again_when_the_trial_cannot_start(void **state)
{
	(void)state;
	lead();
	half_open();
	int64_t trial = entry()->since;
	world_pass(BREAKER_INTERVAL);
	get();
	take_stuck("t", SECOND, trial);
	read_and_write();
	take_events();
	assert_position(BREAKER_OPEN);
	assert_true(entry()->since > trial && entry()->until == entry()->since + 30 * MINUTE);
	assert_metric(OPEN);
}

static void test_another_trial(void **state)
{
	(void)state;
	lead();
	half_open();
	int64_t first = entry()->since;
	/* None was seen. */
	world_pass(BREAKER_TRIAL_UNSEEN);
	read_and_write();
	assert_position(BREAKER_HALF_OPEN);
	int64_t second = entry()->since;
	assert_true(second > first);
	/* One was seen, and waits for a node. */
	take(&(struct pod_text){"t", SECOND, second, RUNS, WAITS, false});
	read_and_write();
	world_pass(BREAKER_TRIAL_UNSEEN);
	get();
	no_request();
	/* It is deleted. */
	take(&(struct pod_text){"t", MINUTE, second, RUNS, WAITS, true});
	read_and_write();
	assert_position(BREAKER_HALF_OPEN);
	assert_true(entry()->since > second && entry()->trial[0] == '\0');
}

/* Somebody wrote a half-open one without a time: no pod is its trial, and another one follows. */
static void test_a_trial_without_a_time(void **state)
{
	(void)state;
	breaker_entry_half_open(breaker_state_add(&stored, "agents"), 0);
	breaker_set_leader(&breaker, true);
	take_stuck("a", SECOND, 0);
	read_and_write();
	assert_position(BREAKER_HALF_OPEN);
	assert_true(entry()->since == world.loop.wall);
	take_stuck("a", SECOND, 0);
	no_request();
}

static void test_a_manual_opening_stays(void **state)
{
	(void)state;
	breaker_entry_open(breaker_state_add(&stored, "agents"), WORLD_BEGIN, 0,
	                   &(struct breaker_cause){"manual", NULL, NULL});
	lead();
	world_pass(300 * MINUTE);
	get();
	no_request();
	assert_position(BREAKER_OPEN);
	assert_metric(OPEN);
	/* And is closed by hand. */
	breaker_entry_close(breaker_state_find(&stored, "agents"), world.loop.wall);
	version++;
	world_pass(BREAKER_INTERVAL);
	get();
	assert_no_metric();
	take_stuck("a", MINUTE, 0);
	no_request();
	/* What closed is forgotten after a while. */
	world_pass(BREAKER_CLOSED_KEPT);
	read_and_write();
	assert_null(entry());
}

/* ---- Other writers, restarts, failures ---- */

static void test_a_conflict(void **state)
{
	(void)state;
	lead();
	take_stuck("a", SECOND, 0);
	get();
	conflict();
	breaker_entry_open(breaker_state_add(&stored, "others"), WORLD_BEGIN, 0,
	                   &(struct breaker_cause){"manual", NULL, NULL});
	patch(true);
	no_request();
	world_pass(SECOND);
	read_and_write();
	take_events();
	assert_int_equal(stored.count, 2);
	assert_position(BREAKER_OPEN);
}

/* The other writer did the same: nothing is left to do, and no Event is sent twice. */
static void test_another_writer_did_the_same(void **state)
{
	(void)state;
	lead();
	take_stuck("a", SECOND, 0);
	get();
	conflict();
	breaker_entry_open(breaker_state_add(&stored, "agents"), WORLD_BEGIN,
	                   WORLD_BEGIN + 30 * MINUTE, &(struct breaker_cause){"image", NULL, "b"});
	patch(true);
	world_pass(SECOND);
	get();
	no_request();
	assert_string_equal(entry()->pod, "b");
	assert_metric(OPEN);
}

static void test_a_restart(void **state)
{
	(void)state;
	lead();
	half_open();
	int64_t trial = entry()->since;
	breaker_free(&breaker);
	start();
	/* The pods are listed before it leads. */
	take_stuck("a", 31 * MINUTE, 0);
	take_running("t", trial);
	no_request();
	breaker_set_leader(&breaker, true);
	read_and_write();
	assert_position(BREAKER_CLOSED);
	no_request();
}

static void test_the_leader_alone_writes(void **state)
{
	(void)state;
	take_stuck("a", SECOND, 0);
	world_pass(MINUTE);
	no_request();
	lead();
	patch(false);
	take_events();
	assert_position(BREAKER_OPEN);
	assert_metric(OPEN);
	breaker_set_leader(&breaker, false);
	assert_no_metric();
	world_pass(MINUTE);
	no_request();
}

static void test_an_old_report_is_none(void **state)
{
	(void)state;
	take_stuck("a", SECOND, 0);
	world_pass(11 * MINUTE);
	breaker_set_leader(&breaker, true);
	get();
	no_request();
	assert_null(entry());
}

static void test_failures(void **state)
{
	(void)state;
	static const struct {
		long status;
		const char *body;
	} responses[] = {{0, ""}, {403, "{}"}, {404, "{}"}, {500, "{}"}, {200, "huh"}, {200, "{}"}};
	breaker_set_leader(&breaker, true);
	take_stuck("a", SECOND, 0);
	for (size_t i = 0; i < sizeof responses / sizeof responses[0]; i++) {
		respond(next("GET", PATH), responses[i].status, responses[i].body);
		no_request();
		world_pass(BREAKER_INTERVAL);
	}
	get();
	respond(next("PATCH", PATH), 500, "{}");
	no_request();
	world_pass(BREAKER_INTERVAL);
	read_and_write();
	take_events();
	assert_position(BREAKER_OPEN);
}

/* More namespaces than reports may wait: the others come with their pods' next events. */
static void test_many_reports_are_bounded(void **state)
{
	(void)state;
	char name[BREAKER_NAMESPACE_SIZE];
	for (int i = 0; i < 2 * BREAKER_PENDING_MAX; i++) {
		snprintf(name, sizeof name, "n%d", i);
		breaker_take_refusal(&breaker, &(struct breaker_refusal){.namespace = name,
		                                                         .api_version = "",
		                                                         .kind = "",
		                                                         .name = "",
		                                                         .uid = "",
		                                                         .message = "",
		                                                         .at = WORLD_BEGIN});
	}
	assert_int_equal(breaker.pending_count, BREAKER_PENDING_MAX);
	breaker_set_leader(&breaker, true);
	read_and_write();
	assert_int_equal(stored.count, BREAKER_PENDING_MAX);
	assert_int_equal(breaker.pending_count, 0);
}

/* ---- A hanging hook ---- */

#define STARTED_EVENTS                                                         \
	"/api/v1/namespaces/agents/events?fieldSelector=involvedObject.uid%3D" \
	"h-uid%2Creason%3DStarted&limit=50"
#define STARTED(container, time)                                                        \
	"{\"items\":[{\"reason\":\"Started\",\"involvedObject\":{\"fieldPath\":\"spec." \
	"initContainers{" container "}\"},\"lastTimestamp\":\"2026-11-23T18:" time "Z\"}]}"

static void test_a_hanging_hook(void **state)
{
	(void)state;
	lead();
	take(&(struct pod_text){"h", SECOND, 0, WAITS, WAITS, false});
	no_request();
	quiet(15 * SECOND);
	world_pass(BREAKER_INTERVAL);
	get();
	/* Its image is still being pulled, it seems. */
	respond(next("GET", STARTED_EVENTS), 200, STARTED("clone", "38:00"));
	quiet(25 * SECOND);
	world_pass(BREAKER_INTERVAL);
	get();
	/* It was started, but a moment ago. 18:38:50 it is. */
	respond(next("GET", STARTED_EVENTS), 200, STARTED("lastword-watchdog", "38:40"));
	quiet(25 * SECOND);
	world_pass(BREAKER_INTERVAL);
	get();
	respond(next("GET", STARTED_EVENTS), 200, STARTED("lastword-watchdog", "38:40"));
	read_and_write();
	take_events();
	assert_string_equal(entry()->reason, "hook-hangs");
	assert_string_equal(entry()->pod, "h");
}

static void test_a_slow_start_is_none(void **state)
{
	(void)state;
	lead();
	take(&(struct pod_text){"h", SECOND, 0, WAITS, WAITS, false});
	take_running("h", 0);
	quiet(MINUTE);
	/* Nor where nobody may list Events. */
	take(&(struct pod_text){"h", SECOND, 0, WAITS, WAITS, false});
	for (unsigned i = 0; i < HOOK_CHECKS_MAX; i++) {
		for (int wait = 0; wait < (i == 0 ? 20 : 30); wait += 5) {
			world_pass(BREAKER_INTERVAL);
			get();
		}
		respond(next("GET", STARTED_EVENTS), 403, "{}");
	}
	quiet(MINUTE);
	assert_null(entry());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	        TEST(test_opens),
	        TEST(test_running_pods_are_no_reason),
	        TEST(test_a_refusal_opens),
	        TEST(test_namespaces_are_apart),
	        TEST(test_closes_when_the_trial_starts),
	        TEST(test_opens_again_when_the_trial_cannot_start),
	        TEST(test_another_trial),
	        TEST(test_a_trial_without_a_time),
	        TEST(test_a_manual_opening_stays),
	        TEST(test_a_conflict),
	        TEST(test_another_writer_did_the_same),
	        TEST(test_a_restart),
	        TEST(test_the_leader_alone_writes),
	        TEST(test_an_old_report_is_none),
	        TEST(test_failures),
	        TEST(test_many_reports_are_bounded),
	        TEST(test_a_hanging_hook),
	        TEST(test_a_slow_start_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
