/* The watcher alone, against an API server of a few lines and a clock that the test turns: pages
 * that are too large or break, what is not JSON, and when it counts as current. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/log.h"
#include "observer/watch/watcher.h"

#define IDLE   (150 * SECOND)
#define LARGE  ((size_t)8 * 1024 * 1024)
#define PODS   2000
#define MINUTE (60 * SECOND)

/* ---- The server, and what the watcher gave away ---- */

static struct {
	struct event_loop loop;
	struct watcher watcher;
	size_t large;          /* the first pods have so many bytes */
	size_t most;           /* pods of a page; one with more is broken off; 0: any */
	const char *list;      /* the response to every list; NULL: the pods */
	const char *watch;     /* what a watch sends before it ends well; NULL: it stays open */
	bool down;             /* nothing is answered */
	struct request *open;  /* the watch */
	unsigned seen[PODS];   /* by pod, in lists */
	unsigned events;       /* taken */
	unsigned pages;        /* requested */
	unsigned largest_page; /* pods in a complete one */
	unsigned completes;
	char watch_path[512];
	char last_pod[64];
} world;

static void begin(void *context)
{
	(void)context;
}

static void take(void *context, enum watch_event event, struct arena *arena, const json *object)
{
	const char *name = json_get_string_or(json_get(object, "metadata"), "name", "");
	(void)context;
	(void)arena;
	if (event == WATCH_LISTED)
		world.seen[atoi(name)]++;
	else
		world.events++;
	snprintf(world.last_pod, sizeof world.last_pod, "%s", name);
}

static void complete(void *context)
{
	(void)context;
	world.completes++;
}

static bool may_read(void *context)
{
	(void)context;
	return true;
}

static bool send(struct request *request, const char *text)
{
	return event_loop_receive(request, text, strlen(text));
}

static void end(struct request *request, bool good, long status)
{
	struct kube_response _cleanup_kube_response_ response;
	const struct error error = {"broken off"};
	kube_response_init(&response);
	response.status = good ? 200 : status;
	response.retry_after = -1;
	event_loop_finish_request(&world.loop, request, &response, good ? NULL : &error);
}

static bool send_pod(struct request *request, size_t index, bool first)
{
	char text[200];
	static char filler[64 * 1024 + 1];
	snprintf(text, sizeof text,
	         "%s{\"metadata\":{\"namespace\":\"n\",\"name\":\"%zu\",\"uid\":\"%zu\"},\"x\":\"",
	         first ? "" : ",", index, index);
	memset(filler, 'x', sizeof filler - 1);
	bool more = send(request, text);
	for (size_t at = 0; more && index < world.large && at < LARGE; at += sizeof filler - 1)
		more = send(request, filler);
	return more && send(request, "\"}");
}

static void send_list(struct request *request)
{
	char text[200];
	const char *token = strstr(request->kube.path, "&continue=");
	size_t from = token == NULL ? 0 : strtoul(token + strlen("&continue="), NULL, 10);
	size_t limit = strtoul(strstr(request->kube.path, "&limit=") + 7, NULL, 10);
	size_t to = from + limit < PODS ? from + limit : PODS;
	bool more = send(request, "{\"items\":[");
	world.pages++;
	for (size_t i = from; more && i < to; i++) {
		if (world.most > 0 && i == from + world.most) {
			end(request, false, 0);
			return;
		}
		more = send_pod(request, i, i == from);
	}
	/* A precision of 0 makes no digits of 0. */
	snprintf(text, sizeof text,
	         "],\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"%.0zu\"}}",
	         to == PODS ? 0 : to);
	more = more && send(request, text);
	if (more && to - from > world.largest_page)
		world.largest_page = (unsigned)(to - from);
	end(request, more, 0);
}

static void serve(struct request *request)
{
	bool watch = strstr(request->kube.path, "&watch=1") != NULL;
	const char *text = watch ? world.watch : world.list;
	if (watch)
		snprintf(world.watch_path, sizeof world.watch_path, "%s", request->kube.path);
	if (world.down)
		end(request, false, 0);
	else if (!watch && text == NULL)
		send_list(request);
	else if (text == NULL)
		world.open = request;
	else
		end(request, send(request, text), 0);
}

/* Lets so much time pass; requests are answered at once. */
static void run_for(int64_t nanoseconds)
{
	int64_t until = world.loop.now + nanoseconds;
	for (;;) {
		struct request *request;
		event_loop_fire_timers(&world.loop);
		while ((request = event_loop_next_request(&world.loop)) != NULL)
			serve(request);
		int64_t next = event_loop_next_timer(&world.loop);
		if (next > until)
			break;
		world.loop.now = next > world.loop.now ? next : world.loop.now;
	}
	world.loop.now = until;
}

static int set_up(void **state)
{
	const struct watch_handler handler = {
	        .begin = begin, .take = take, .complete = complete, .may_read = may_read};
	(void)state;
	memset(&world, 0, sizeof world);
	log_set_level(LOG_ERROR + 1);
	event_loop_init(&world.loop, 1, 32);
	world.loop.now = SECOND;
	assert_true(watcher_init(&world.watcher, &world.loop, &watch_pods, "a=b", IDLE, &handler));
	watcher_start(&world.watcher);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	watcher_free(&world.watcher);
	event_loop_free(&world.loop);
	return 0;
}

static void assert_all_seen(void)
{
	for (size_t i = 0; i < PODS; i++)
		assert_true(world.seen[i] > 0);
	assert_int_equal(world.completes, 1);
}

/* ---- Pages ---- */

static void test_a_list_is_some_pages(void **state)
{
	(void)state;
	run_for(SECOND);
	assert_all_seen();
	assert_int_equal(world.pages, PODS / 500);
}

/* 100 MB of pods in front of 1,988 small ones: their pages are small, those behind are not. */
static void test_pages_shrink_and_grow_again(void **state)
{
	(void)state;
	world.large = 12;
	run_for(SECOND);
	assert_all_seen();
	assert_true(world.pages < 30);
	assert_int_equal(world.watcher.page, 500);
	assert_int_equal(world.largest_page, 500);
}

/* Something between breaks what is too long for it. */
static void test_pages_that_break_shrink(void **state)
{
	(void)state;
	world.most = 70;
	run_for(10 * MINUTE);
	assert_all_seen();
	assert_true(world.largest_page <= 70);
	assert_true(world.pages < 200);
}

static void test_a_page_of_one_pod_has_no_ceiling(void **state)
{
	(void)state;
	char *filler = malloc(LARGE + 1);
	memset(filler, 'x', LARGE);
	filler[LARGE] = '\0';
	world.watcher.page = 1;
	event_loop_fire_timers(&world.loop);
	struct request *request = event_loop_next_request(&world.loop);
	assert_true(send(request,
	                 "{\"metadata\":{\"resourceVersion\":\"3\"},\"items\":[{\"metadata\":{"
	                 "\"name\":\"5\"},\"y\":["));
	for (int i = 0; i < 10; i++) {
		assert_true(send(request, i == 0 ? "\"" : ",\""));
		assert_true(send(request, filler));
		assert_true(send(request, "\""));
	}
	assert_true(send(request, "]}]}"));
	end(request, true, 0);
	assert_int_equal(world.seen[5], 1);
	assert_int_equal(world.completes, 1);
	free(filler);
}

/* ---- What is not what an API server sends ---- */

static void test_a_list_that_is_none(void **state)
{
	static const char *const texts[] = {
	        "",
	        "{",
	        "[]",
	        "{}",
	        "{\"kind\":\"PodList\",\"items\":[]}",
	        "{\"metadata\":{\"resourceVersion\":\"\"},\"items\":[]}",
	        "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[}",
	        "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[]",
	        "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[]}}",
	        "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[]}{}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		tear_down(NULL);
		set_up(NULL);
		world.list = texts[i];
		run_for(20 * MINUTE);
		assert_int_equal(world.completes, 0);
		assert_false(watcher_is_current(&world.watcher));
		/* and not asked for without end */
		assert_true(world.watcher.failures > 3 && world.watcher.failures < 200);
		world.list = NULL;
		run_for(MINUTE);
		assert_all_seen();
		assert_true(watcher_is_current(&world.watcher));
	}
}

static void test_an_event_that_is_none_means_a_new_list(void **state)
{
	(void)state;
	run_for(SECOND);
	assert_true(send(world.open,
	                 "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"5\","
	                 "\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"8\"}}}\n"));
	assert_false(send(world.open,
	                  "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"\t\""));
	end(world.open, false, 0);
	run_for(SECOND);
	assert_int_equal(world.completes, 2);
}

/* ---- The position ---- */

/* An event is too large even without what nobody needs: it is taken in part, and the next watch
 * begins behind it. */
static void test_the_position_is_behind_a_cut_pod(void **state)
{
	(void)state;
	run_for(SECOND);
	assert_true(send(world.open,
	                 "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"big\","
	                 "\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"8\"},"
	                 "\"status\":{\"message\":\""));
	for (int i = 0; i < 40000; i++)
		assert_true(send(world.open, "\\u003c"));
	assert_int_equal(world.events, 0);
	assert_true(send(world.open, "\"}}}"));
	assert_int_equal(world.events, 1);
	assert_string_equal(world.last_pod, "big");
	assert_int_equal(world.watcher.cut_pods, 1);
	struct request *open = world.open;
	world.open = NULL;
	end(open, false, 0);
	run_for(SECOND);
	assert_non_null(world.open);
	assert_non_null(strstr(world.watch_path, "&resourceVersion=8&"));
	assert_int_equal(world.completes, 1);
}

/* ---- Progress ---- */

static void test_who_makes_no_progress_is_not_current(void **state)
{
	(void)state;
	assert_false(watcher_is_current(&world.watcher));
	run_for(SECOND);
	assert_true(watcher_is_current(&world.watcher));
	/* Silence is allowed for a while. */
	run_for(2 * IDLE + 30 * SECOND);
	assert_true(watcher_is_current(&world.watcher));
	run_for(MINUTE);
	assert_false(watcher_is_current(&world.watcher));
	assert_true(watcher_silence(&world.watcher) > 2 * IDLE);
	/* A bookmark is progress. */
	assert_true(send(world.open, "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{"
	                             "\"resourceVersion\":\"9\"}}}\n"));
	assert_true(watcher_is_current(&world.watcher));
	/* Half an event is none. */
	run_for(2 * IDLE);
	assert_true(send(world.open, "{\"type\":\"BOOKMARK\",\"object\":{"));
	run_for(MINUTE + SECOND);
	assert_false(watcher_is_current(&world.watcher));
}

static void test_a_server_that_is_down(void **state)
{
	(void)state;
	run_for(SECOND);
	struct request *open = world.open;
	world.down = true;
	end(open, false, 0);
	run_for(10 * MINUTE);
	assert_false(watcher_is_current(&world.watcher));
	world.down = false;
	world.watch =
	        "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}\n";
	run_for(MINUTE);
	assert_true(watcher_is_current(&world.watcher));
	assert_int_equal(world.completes, 1); /* no new list was needed */
}

/* Events come, and every one is followed by a list that never ends. */
static void test_lists_that_never_end_are_no_progress(void **state)
{
	(void)state;
	run_for(SECOND);
	struct request *open = world.open;
	assert_false(send(open, "{\"type\":\"ERROR\",\"object\":{\"code\":410}}"));
	world.list =
	        "{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":\"more\"},\"items\":[]}";
	world.loop.now += SECOND;
	end(open, true, 0);
	for (int i = 0; i < 600; i++) {
		/* one page a second */
		struct request *request;
		world.loop.now += SECOND;
		event_loop_fire_timers(&world.loop);
		request = event_loop_next_request(&world.loop);
		assert_non_null(request);
		serve(request);
	}
	assert_false(watcher_is_current(&world.watcher));
}

/* ---- Lists that are asked for ---- */

static void test_a_list_on_request(void **state)
{
	(void)state;
	run_for(SECOND);
	assert_non_null(world.open);
	world.open = NULL;
	watcher_relist(&world.watcher);
	run_for(SECOND);
	assert_int_equal(world.completes, 2);
	assert_non_null(world.open);

	/* During a list it is completed first, and there is one more, however often that happens.
	 */
	world.open = NULL;
	watcher_relist(&world.watcher);
	event_loop_fire_timers(&world.loop);
	struct request *request = event_loop_next_request(&world.loop);
	assert_non_null(request);
	serve(request);
	assert_int_equal(world.completes, 2);
	for (int i = 0; i < 3; i++)
		watcher_relist(&world.watcher);
	run_for(SECOND);
	assert_int_equal(world.completes, 4);
	assert_non_null(world.open);
	assert_true(watcher_is_current(&world.watcher));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        TEST(test_a_list_is_some_pages),
	        TEST(test_pages_shrink_and_grow_again),
	        TEST(test_pages_that_break_shrink),
	        TEST(test_a_page_of_one_pod_has_no_ceiling),
	        TEST(test_a_list_that_is_none),
	        TEST(test_an_event_that_is_none_means_a_new_list),
	        TEST(test_the_position_is_behind_a_cut_pod),
	        TEST(test_who_makes_no_progress_is_not_current),
	        TEST(test_a_server_that_is_down),
	        TEST(test_lists_that_never_end_are_no_progress),
	        TEST(test_a_list_on_request),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
