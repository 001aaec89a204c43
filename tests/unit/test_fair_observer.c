/* One tenant whose logs never come and whose records are refused: the other's terminations are
 * recorded all the same. The evidence gatherer and the record writer with a server of a few lines.
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
#include "observer/evidence/evidence.h"
#include "tests/unit/failing_malloc.h"
#include "tests/unit/ignore.h"

#define EVIL    2000
#define TIMEOUT (20 * SECOND) /* of a log's request */

static struct {
	struct event_loop loop;
	struct observer_metrics *metrics;
	struct record_writer writer;
	struct evidence_gatherer gatherer;
	struct pod_cache cache;
	unsigned recorded[2]; /* evil's and the other's */
	unsigned with_log;    /* of the other's records */
	bool refuse;          /* evil's records */
	struct {
		struct request *request; /* NULL: free */
		int64_t until;
	} held[64];
} world;

static void ignore_pod(void *context, struct cached_pod *pod)
{
	(void)context;
	(void)pod;
}

static void forget(void *transport, struct request *request)
{
	(void)transport;
	for (size_t i = 0; i < sizeof world.held / sizeof world.held[0]; i++)
		if (world.held[i].request == request)
			world.held[i].request = NULL;
}

static int set_up(void **state)
{
	(void)state;
	memset(&world, 0, sizeof world);
	log_set_level(LOG_ERROR + 1);
	world.metrics = observer_metrics_new();
	event_loop_init(&world.loop, 1, 42);
	world.loop.now = 100 * SECOND;
	world.loop.cancel = forget;
	world.loop.wall = INT64_C(1795459080) * SECOND;
	record_writer_init(&world.writer, &world.loop, world.metrics, SECOND, ignore_record, ignore,
	                   NULL);
	record_writer_set_leader(&world.writer, true);
	evidence_gatherer_init(&world.gatherer, &world.loop, world.metrics, &world.writer, ignore,
	                       NULL);
	return world.metrics == NULL || !pod_cache_init(&world.cache);
}

static int tear_down(void **state)
{
	(void)state;
	evidence_gatherer_free(&world.gatherer);
	record_writer_free(&world.writer);
	pod_cache_free(&world.cache);
	event_loop_free(&world.loop);
	observer_metrics_free(world.metrics);
	return 0;
}

static void terminate(const char *namespace, unsigned i, const char *message)
{
	char name[32];
	snprintf(name, sizeof name, "%s-%u", namespace, i);
	const struct termination termination = {.kind = TERMINATION_REPORTED,
	                                        .namespace = namespace,
	                                        .pod = name,
	                                        .uid = name,
	                                        .container = "main",
	                                        .reason = "Error",
	                                        .message = message,
	                                        .exit_code = 1,
	                                        .final = true};
	struct cached_pod *pod = pod_cache_add(&world.cache, &termination, 1);
	assert_non_null(pod);
	assert_true(evidence_gather(&world.gatherer, pod, &termination, false));
}

static void finish(struct request *request, long status, const char *reason)
{
	struct kube_response _cleanup_kube_response_ response;
	struct error error = {"refused"};
	kube_response_init(&response);
	response.status = status;
	response.retry_after = -1;
	snprintf(response.reason, sizeof response.reason, "%s", reason);
	event_loop_finish_request(&world.loop, request, &response,
	                          status / 100 == 2 ? NULL : &error);
}

static void hold(struct request *request)
{
	size_t i = 0;
	while (world.held[i].request != NULL)
		i++;
	world.held[i].request = request;
	world.held[i].until = world.loop.now + TIMEOUT;
}

/* When the next one does; those that have by now end. */
static int64_t time_out(void)
{
	int64_t next = INT64_MAX;
	for (size_t i = 0; i < sizeof world.held / sizeof world.held[0]; i++) {
		struct request *request = world.held[i].request;
		if (request == NULL)
			continue;
		if (world.held[i].until > world.loop.now) {
			next = world.held[i].until < next ? world.held[i].until : next;
			continue;
		}
		world.held[i].request = NULL;
		finish(request, 0, "");
		next = world.loop.now;
	}
	return next;
}

/* Evil's logs never come. */
static void serve(struct request *request)
{
	bool evil = strstr(request->kube.path, "/namespaces/evil/") != NULL;
	bool post = request->kube.method != NULL && strcmp(request->kube.method, "POST") == 0;
	bool record = post && strstr(request->kube.path, "/agentexits") != NULL;
	if (strstr(request->kube.path, "/log?") != NULL) {
		if (evil) {
			hold(request);
			return;
		}
		assert_true(event_loop_receive(request, "the last words\n", 15));
		finish(request, 200, "");
		return;
	}
	if (record && evil && world.refuse) {
		finish(request, 403, "Forbidden");
		return;
	}
	if (record) {
		world.recorded[!evil]++;
		world.with_log += !evil && strstr(request->kube.body, "the last words") != NULL;
	}
	finish(request, post ? 201 : 200, "");
}

static void run_for(int64_t nanoseconds)
{
	int64_t until = world.loop.now + nanoseconds;
	for (;;) {
		struct request *request;
		event_loop_fire_timers(&world.loop);
		while ((request = event_loop_next_request(&world.loop)) != NULL)
			serve(request);
		int64_t next = time_out();
		if (event_loop_next_timer(&world.loop) < next)
			next = event_loop_next_timer(&world.loop);
		if (next > until)
			break;
		world.loop.now = next > world.loop.now ? next : world.loop.now;
	}
	world.loop.now = until;
}

static void test_logs_that_never_come_hold_nobody_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < EVIL; i++)
		terminate("evil", i, "evil's own");
	for (unsigned i = 0; i < 20; i++)
		terminate("team", i, NULL);
	run_for(SECOND);
	assert_int_equal(world.recorded[1], 20);
	assert_int_equal(world.with_log, 20);
	assert_int_equal(world.recorded[0], 0);
	/* Nor do they fill the number of terminations that may be open: they are recorded as the
	 * kubelet reports them. */
	run_for(EVIDENCE_LOG_WAIT + 2 * SECOND);
	assert_in_range(world.gatherer.count, 0, EVIDENCE_CROWDED);
	assert_in_range(world.recorded[0] + world.writer.count, EVIL - EVIDENCE_CROWDED, EVIL);
	terminate("team", 20, NULL);
	run_for(SECOND);
	assert_int_equal(world.with_log, 21);
}

/* With few open there is time for logs to come. */
static void test_nobody_is_hurried_while_there_is_room(void **state)
{
	(void)state;
	for (unsigned i = 0; i < EVIDENCE_CROWDED; i++)
		terminate("evil", i, NULL);
	run_for(2 * EVIDENCE_LOG_WAIT);
	assert_int_equal(world.gatherer.count, EVIDENCE_CROWDED);
	assert_int_equal(world.recorded[0], 0);
}

static unsigned lost(void)
{
	struct buffer out;
	static const char name[] = "\nlastword_observer_lost_records_total ";
	buffer_init(&out, (size_t)1 << 20);
	observer_metrics_write(world.metrics, &out);
	const char *found = strstr(buffer_text(&out), name);
	unsigned value = found == NULL ? 0 : (unsigned)strtoul(found + sizeof name - 1, NULL, 10);
	buffer_free(&out);
	return value;
}

/* So many records, each of some kilobytes. */
static void fill(const char *namespace, unsigned count)
{
	static char message[12 * 1024];
	struct agent_exit exit;
	memset(message, 'x', sizeof message - 1);
	agent_exit_init(&exit);
	exit.namespace = namespace;
	exit.pod = exit.uid = "coder";
	exit.container = "main";
	exit.error_type = "Error";
	exit.source = AGENT_EXIT_SOURCE_KUBELET;
	exit.message = exit.log_tail = message;
	for (unsigned i = 0; i < count; i++) {
		const struct termination termination = {.kind = TERMINATION_REPORTED,
		                                        .namespace = namespace,
		                                        .pod = "coder",
		                                        .uid = "coder",
		                                        .container = "main",
		                                        .restart_count = i};
		assert_true(record_writer_add(&world.writer, &termination, &exit, NULL));
	}
}

/* A ResourceQuota of 0 records, say. */
static void test_refused_records_do_not_fill_the_memory(void **state)
{
	(void)state;
	world.refuse = true;
	for (unsigned i = 0; i < 3000; i++) {
		fill("evil", 1);
		run_for(SECOND / 1000);
		assert_in_range(world.writer.bytes, 0, RECORD_WRITER_CROWDED + 64 * 1024);
	}
	unsigned printed = lost();
	assert_int_equal(world.writer.count + printed, 3000);
	assert_true(printed > 1000);
	/* Another tenant's are written, whoever is refused. */
	terminate("team", 1, NULL);
	run_for(SECOND);
	assert_int_equal(world.recorded[1], 1);
	assert_in_range(lost(), printed, printed + 1); /* its record may take the place of one */
	/* What is not refused any more is written. */
	world.refuse = false;
	size_t left = world.writer.count;
	run_for(60 * SECOND);
	assert_int_equal(world.recorded[0], left);
	assert_int_equal(world.writer.refused.total, 0);
}

/* Trouble of the server itself is no reason to give anything up. */
static void test_nothing_is_given_up_for_a_server_in_trouble(void **state)
{
	(void)state;
	fill("team", 2500);
	int64_t until = world.loop.now + 60 * SECOND;
	while (world.loop.now < until) {
		struct request *request;
		event_loop_fire_timers(&world.loop);
		while ((request = event_loop_next_request(&world.loop)) != NULL)
			finish(request, 503, "ServiceUnavailable");
		world.loop.now += SECOND / 10;
	}
	assert_true(world.writer.bytes > RECORD_WRITER_CROWDED);
	assert_int_equal(lost(), 0);
	run_for(120 * SECOND);
	assert_int_equal(world.recorded[1], 2500);
}

/* Every allocation fails once, in turn: what was accepted is recorded, nothing is lost or leaks. */
static void test_every_allocation_may_fail(void **state)
{
	bool any = true;
	(void)state;
	for (size_t n = 0; any; n++) {
		const struct termination facts = {.kind = TERMINATION_UNOBSERVED,
		                                  .namespace = "team",
		                                  .pod = "coder",
		                                  .uid = "coder",
		                                  .container = "main"};
		struct termination termination = facts;
		struct log_followers followers;
		tear_down(NULL);
		assert_int_equal(set_up(NULL), 0);
		log_followers_init(&followers, &world.loop, ignore_pod, NULL);
		struct cached_pod *pod = pod_cache_add(&world.cache, &facts, 1);
		assert_non_null(pod);
		strcpy(pod->agents[0].name, "main");
		pod->agents[0].running = 0;
		termination.kind = TERMINATION_REPORTED;
		termination.exit_code = 1;
		termination.final = true;

		fail_after(n, false);
		log_follower_start(&followers, pod, SECOND);
		bool accepted = evidence_gather(&world.gatherer, pod, &termination, false);
		observer_metrics_count_run(world.metrics, "team", "coder", true, 1, 1, 1);
		run_for(10 * SECOND);
		any = failed;
		fail_after(SIZE_MAX, false);
		run_for(60 * SECOND);
		assert_int_equal(world.gatherer.count + world.writer.count, 0);
		assert_int_equal(world.recorded[1], accepted);
		assert_int_equal(world.gatherer.open.total + world.loop.share.total, 0);
		log_followers_free(&followers);
		assert_int_equal(followers.places.total + followers.queue.total, 0);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        TEST(test_logs_that_never_come_hold_nobody_up),
	        TEST(test_nobody_is_hurried_while_there_is_room),
	        TEST(test_refused_records_do_not_fill_the_memory),
	        TEST(test_nothing_is_given_up_for_a_server_in_trouble),
	        TEST(test_every_allocation_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
