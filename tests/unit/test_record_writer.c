/* Which requests a record causes at a replica that does not lead, and one that a new leader finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "observer/record/record_writer.h"
#include "tests/unit/ignore.h"
#include "tests/unit/loop_world.h"

#define HOLD    (30 * SECOND)
#define EARLY   (5 * SECOND)
#define RECORDS "/apis/lastword.dev/v1alpha1/namespaces/agents/agentexits"
#define RECORD  RECORDS "/coder.12345678.main.0"
#define EVENTS  "/api/v1/namespaces/agents/events"
#define STORED(status)                                                               \
	"{\"metadata\":{\"name\":\"coder.12345678.main.0\",\"namespace\":\"agents\"" \
	"},\"spec\":{\"summary\":\"exit 1\"},\"status\":{" status "}}"
#define NOTIFIED "\"notifications\":[{\"receiver\":\"event-pod\",\"state\":\"Delivered\"}]"

static struct record_writer writer;

static int set_up(void **state)
{
	(void)state;
	world_init();
	record_writer_init(&writer, &world.loop, world.metrics, HOLD, ignore_record, ignore, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	record_writer_free(&writer);
	world_free();
	return 0;
}

static void nothing_more(void)
{
	no_request();
	assert_int_equal(writer.count, 0);
	assert_int_equal(writer.bytes, 0);
}

static struct agent_exit make_exit(void)
{
	struct agent_exit exit;
	agent_exit_init(&exit);
	exit.name = "coder.12345678.main.0";
	exit.namespace = "agents";
	exit.pod = "coder";
	exit.uid = "12345678-0000";
	exit.container = "main";
	exit.restart_count = 0;
	exit.error_type = "Error";
	exit.source = AGENT_EXIT_SOURCE_KUBELET;
	exit.summary = "exit 1";
	return exit;
}

static void add(void)
{
	static const struct termination failure = {.kind = TERMINATION_REPORTED,
	                                           .namespace = "agents",
	                                           .pod = "coder",
	                                           .uid = "12345678-0000",
	                                           .container = "main"};
	const struct agent_exit exit = make_exit();
	assert_true(record_writer_add(&writer, &failure, &exit, NULL));
}

static void expect_notification(void)
{
	respond(next("POST", EVENTS), 201, "{}");
	struct request *patch = next("PATCH", RECORD "/status");
	assert_non_null(strstr(patch->kube.body, "event-pod"));
	respond(patch, 200, "{}");
	nothing_more();
}

/* The leader was faster, as it mostly is: the record is held for a short time only. */
static void test_others_are_done_early(void **state)
{
	(void)state;
	add();
	world_pass(EARLY - 1);
	no_request();
	world_pass(1);
	respond(next("GET", RECORD), 200, STORED(NOTIFIED));
	nothing_more();
}

/* Early, nothing is done for a leader that is slow. */
static void test_others_hold_what_is_not_done(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		bool written = i > 0;
		add();
		world_pass(EARLY);
		respond(next("GET", RECORD), written ? 200 : 404, written ? STORED("") : "{}");
		no_request();
		world_pass(HOLD - EARLY - 1);
		no_request();
		world_pass(1);
		respond(next("GET", RECORD), written ? 200 : 404, written ? STORED("") : "{}");
		if (!written)
			respond(next("POST", RECORDS), 201, "{}");
		expect_notification();
	}
}

static void test_a_new_leader_holds_nothing(void **state)
{
	(void)state;
	add();
	world_pass(EARLY);
	respond(next("GET", RECORD), 404, "{}");
	no_request();
	record_writer_set_leader(&writer, true);
	respond(next("GET", RECORD), 404, "{}");
	respond(next("POST", RECORDS), 201, "{}");
	expect_notification();
}

static void test_a_record_is_found_without_notifications(void **state)
{
	struct agent_exit exit = make_exit();
	(void)state;
	record_writer_set_leader(&writer, true);
	for (unsigned i = 0; i < 3; i++) {
		record_writer_add_found(&writer, &exit);
		record_writer_add_found(&writer, &exit);
		assert_int_equal(writer.count, 1);
		no_request(); /* whoever wrote it may be sending them */
		world_pass(HOLD);
		if (i == 0)
			respond(next("GET", RECORD), 200, STORED(NOTIFIED));
		else if (i == 1)
			respond(next("GET", RECORD), 404, "{}"); /* deleted meanwhile */
		else
			respond(next("GET", RECORD), 200, STORED(""));
		if (i == 2)
			expect_notification();
		nothing_more();
	}
	exit.notifications[exit.notification_count++] = (struct agent_exit_notification){
	        .receiver = "event-pod", .state = AGENT_EXIT_NOTIFICATION_GROUPED};
	record_writer_add_found(&writer, &exit);
	nothing_more();
}

static void test_what_is_no_record_of_ours_is_left_alone(void **state)
{
	struct agent_exit exits[4] = {make_exit(), make_exit(), make_exit(), make_exit()};
	(void)state;
	exits[0].pod = NULL;
	exits[1].uid = NULL;
	exits[2].container = NULL;
	exits[3].error_type = NULL;
	record_writer_set_leader(&writer, true);
	for (size_t i = 0; i < 4; i++)
		record_writer_add_found(&writer, &exits[i]);
	nothing_more();
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_others_are_done_early),
	        TEST(test_others_hold_what_is_not_done),
	        TEST(test_a_new_leader_holds_nothing),
	        TEST(test_a_record_is_found_without_notifications),
	        TEST(test_what_is_no_record_of_ours_is_left_alone),
	};
	return cmocka_run_group_tests_name("record writer", tests, NULL, NULL);
}
