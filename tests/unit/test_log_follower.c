/* The logs of pods that are being deleted: what is kept of them, and who gives way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "observer/evidence/log_follower.h"
#include "observer/evidence/log_reader.h"

#define PODS_MAX 300
#define GONE     "unable to retrieve container logs for containerd://x"
#define NO_WATCH "failed to create fsnotify watcher: too many open files"

struct fixture {
	struct event_loop loop;
	struct pod_cache cache;
	struct log_followers followers;
	struct cached_pod *pods[PODS_MAX];
	struct request *requests[PODS_MAX]; /* the last one of each */
	const char *namespace;              /* of pods that are added; NULL: "a" */
	size_t ended;
};

static void count_ended(void *context, struct cached_pod *pod)
{
	struct fixture *f = context;
	assert_non_null(pod);
	f->ended++;
}

static void forget_request(void *transport, struct request *request)
{
	struct fixture *f = transport;
	for (size_t i = 0; i < PODS_MAX; i++)
		if (f->requests[i] == request)
			f->requests[i] = NULL;
}

static void set_up(struct fixture *f)
{
	*f = (struct fixture){.ended = 0};
	event_loop_init(&f->loop, 1, 8);
	f->loop.now = 100 * SECOND;
	f->loop.cancel = forget_request;
	f->loop.transport = f;
	assert_true(pod_cache_init(&f->cache));
	log_followers_init(&f->followers, &f->loop, count_ended, f);
}

static void tear_down(struct fixture *f)
{
	log_followers_free(&f->followers);
	pod_cache_free(&f->cache);
	assert_int_equal(f->followers.kept.total, 0);
	event_loop_free(&f->loop);
}

/* What a termination of the pod's agent looks like. */
static struct termination termination_of(const struct fixture *f, size_t i)
{
	struct termination termination = *f->pods[i]->facts;
	termination.kind = TERMINATION_REPORTED;
	termination.container = "main";
	termination.watched = f->pods[i]->agents[0].watched;
	return termination;
}

static void add_pod(struct fixture *f, size_t i, bool watched)
{
	char name[16];
	snprintf(name, sizeof name, "pod-%zu", i);
	const struct termination facts = {.kind = TERMINATION_UNOBSERVED,
	                                  .namespace = f->namespace == NULL ? "a" : f->namespace,
	                                  .pod = name,
	                                  .uid = name,
	                                  .container = "main"};
	f->pods[i] = pod_cache_add(&f->cache, &facts, 1);
	assert_non_null(f->pods[i]);
	struct cached_agent *agent = &f->pods[i]->agents[0];
	snprintf(agent->name, sizeof agent->name, "main");
	agent->running = 0;
	agent->watched = watched;
}

/* Every request that was added is taken, as a transport would. */
static void take_requests(struct fixture *f)
{
	for (struct request *r; (r = event_loop_next_request(&f->loop)) != NULL;) {
		size_t i;
		assert_int_equal(
		        sscanf(r->kube.path, "/api/v1/namespaces/%*[^/]/pods/pod-%zu/", &i), 1);
		f->requests[i] = r;
	}
}

static void pass(struct fixture *f, int64_t time)
{
	int64_t until = f->loop.now + time;
	for (int64_t next; (next = event_loop_next_timer(&f->loop)) <= until;) {
		f->loop.now = next > f->loop.now ? next : f->loop.now;
		event_loop_fire_timers(&f->loop);
		take_requests(f);
	}
	f->loop.now = until;
}

static void start(struct fixture *f, size_t i, bool watched, int64_t grace)
{
	add_pod(f, i, watched);
	log_follower_start(&f->followers, f->pods[i], grace);
	take_requests(f);
}

static void send_text(struct fixture *f, size_t i, const char *text)
{
	assert_non_null(f->requests[i]);
	assert_true(event_loop_receive(f->requests[i], text, strlen(text)));
}

static void end_response(struct fixture *f, size_t i, long status)
{
	struct kube_response _cleanup_kube_response_ response;
	struct error error;
	kube_response_init(&response);
	response.status = status;
	error_set(&error, "status %ld", status);
	struct request *request = f->requests[i];
	f->requests[i] = NULL;
	event_loop_finish_request(&f->loop, request, &response, status == 200 ? NULL : &error);
	take_requests(f);
}

static void assert_log(struct fixture *f, size_t i, const char *text, bool complete)
{
	bool got_complete;
	struct termination termination = termination_of(f, i);
	struct log_text log = log_follower_take_log(f->pods[i], &termination, &got_complete);
	if (text == NULL) {
		assert_null(log.bytes);
		return;
	}
	assert_non_null(log.bytes);
	assert_int_equal(log.length, strlen(text));
	assert_memory_equal(log.bytes, text, log.length);
	assert_int_equal(got_complete, complete);
	free(log.bytes);
}

static void test_an_agents_log_is_followed_to_its_end(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	start(&f, 0, false, 30 * SECOND);
	assert_string_equal(f.requests[0]->kube.path,
	                    "/api/v1/namespaces/a/pods/pod-0/log?container=main&follow=true"
	                    "&tailLines=200");
	struct termination termination = termination_of(&f, 0);
	assert_true(log_follower_is_open(f.pods[0], &termination));
	send_text(&f, 0, "starting\n");
	pass(&f, 20 * SECOND);
	send_text(&f, 0, "fatal: the model");
	send_text(&f, 0, " is gone\n");
	end_response(&f, 0, 200);
	assert_int_equal(f.ended, 1);
	assert_false(log_follower_is_open(f.pods[0], &termination));
	/* An earlier container's log is another one. */
	termination.previous = true;
	bool complete;
	assert_null(log_follower_take_log(f.pods[0], &termination, &complete).bytes);
	assert_log(&f, 0, "starting\nfatal: the model is gone\n", true);
	assert_log(&f, 0, NULL, false); /* it was taken */
	/* Once for each log. */
	log_follower_start(&f.followers, f.pods[0], 30 * SECOND);
	assert_null(event_loop_next_request(&f.loop));
	assert_int_equal(f.followers.dropped, 0);
	tear_down(&f);
}

/* As a kubelet reports it that has lost the container of a deleted pod. */
static void test_a_lost_containers_log_was_followed(void **state)
{
	struct fixture f;
	bool complete;
	(void)state;
	set_up(&f);
	start(&f, 0, false, 30 * SECOND);
	struct termination termination = termination_of(&f, 0);
	termination.previous = true;
	termination.reason = "ContainerStatusUnknown";
	termination.exit_code = 137;
	assert_true(log_follower_is_open(f.pods[0], &termination));
	send_text(&f, 0, "fatal: the model is gone\n");
	end_response(&f, 0, 200);
	/* Unless it was lost before, and another run's log was followed. */
	f.pods[0]->agents[0].handled = 1;
	assert_null(log_follower_take_log(f.pods[0], &termination, &complete).bytes);
	f.pods[0]->agents[0].handled = 0;
	struct log_text log = log_follower_take_log(f.pods[0], &termination, &complete);
	assert_non_null(log.bytes);
	assert_true(complete);
	free(log.bytes);
	tear_down(&f);
}

static void test_the_watchdogs_log_is_followed_for_all_its_agents(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	start(&f, 0, true, 30 * SECOND);
	assert_non_null(strstr(f.requests[0]->kube.path, "log?container=lastword-watchdog&follow"));
	send_text(&f, 0,
	          "{\"event\":\"end\",\"uid\":\"pod-0\",\"container\":\"main\",\"exit_code\":0}\n");
	struct termination termination = termination_of(&f, 0);
	const struct cached_log *report = log_follower_report(f.pods[0], &termination);
	assert_non_null(report);
	assert_int_equal(report->bytes[report->length - 1], '}');
	/* It is no log of the agent's. */
	bool complete;
	assert_null(log_follower_take_log(f.pods[0], &termination, &complete).bytes);
	termination.exit_code = 5;
	assert_null(log_follower_report(f.pods[0], &termination));
	end_response(&f, 0, 200);
	assert_int_equal(f.ended, 1);
	tear_down(&f);
}

static void test_what_was_read_stays_whatever_comes_later(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	/* The connection breaks, then the log is gone. */
	start(&f, 0, false, 30 * SECOND);
	send_text(&f, 0, "one\n");
	end_response(&f, 0, 0);
	pass(&f, SECOND);
	send_text(&f, 0, GONE);
	end_response(&f, 0, 200);
	for (int i = 0; f.ended == 0 && i < 2 * LOG_READER_ATTEMPTS; i++) {
		pass(&f, 10 * SECOND);
		if (f.requests[0] != NULL)
			end_response(&f, 0, 404);
	}
	assert_int_equal(f.ended, 1);
	assert_log(&f, 0, "one\n", false);

	/* The kubelet cannot read on, then it can. */
	start(&f, 1, false, 30 * SECOND);
	send_text(&f, 1, "one\n" NO_WATCH);
	end_response(&f, 1, 200);
	pass(&f, SECOND);
	send_text(&f, 1, "one\ntwo\n");
	end_response(&f, 1, 200);
	assert_log(&f, 1, "one\ntwo\n", true);

	/* It never can. */
	start(&f, 2, false, 30 * SECOND);
	for (int i = 0; i <= LOG_READER_ATTEMPTS; i++) {
		send_text(&f, 2, NO_WATCH);
		end_response(&f, 2, 200);
		pass(&f, 5 * SECOND);
	}
	assert_int_equal(f.ended, 3);
	assert_log(&f, 2, NULL, false);
	tear_down(&f);
}

static void assert_missed(const struct fixture *f, size_t i, const char *reason)
{
	struct termination termination = termination_of(f, i);
	const char *missed = log_follower_missed(f->pods[i], &termination);
	if (reason == NULL)
		assert_null(missed);
	else
		assert_string_equal(missed, reason);
}

static void test_why_a_log_was_missed(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	add_pod(&f, 0, false); /* not to be followed */
	assert_missed(&f, 0, NULL);
	start(&f, 1, false, 30 * SECOND);
	assert_missed(&f, 1, "late"); /* as yet */
	end_response(&f, 1, 200);
	assert_missed(&f, 1, NULL); /* the agent printed nothing */
	start(&f, 2, false, 30 * SECOND);
	end_response(&f, 2, 400);
	assert_missed(&f, 2, "refused");
	start(&f, 3, false, SECOND);
	pass(&f, SECOND + LOG_FOLLOWER_EXTRA_TIME);
	assert_missed(&f, 3, "late");
	start(&f, 4, true, SECOND); /* a watchdog's */
	assert_missed(&f, 4, NULL);
	/* Another run than the one that was followed. */
	struct termination earlier = termination_of(&f, 2);
	earlier.previous = true;
	assert_null(log_follower_missed(f.pods[2], &earlier));
	tear_down(&f);
}

static void test_time_is_bounded(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	start(&f, 0, false, INT64_C(30) * 86400 * SECOND);
	start(&f, 1, false, 5 * SECOND);
	start(&f, 2, false, -3 * SECOND);
	send_text(&f, 0, "still here\n");
	send_text(&f, 1, "half a li");
	pass(&f, LOG_FOLLOWER_EXTRA_TIME);
	assert_int_equal(f.ended, 1);
	struct termination termination = termination_of(&f, 1);
	assert_true(log_follower_is_open(f.pods[1], &termination));
	pass(&f, 5 * SECOND);
	assert_int_equal(f.ended, 2);
	assert_log(&f, 1, "half a li", false);
	pass(&f, LOG_FOLLOWER_TIME_MAX);
	assert_int_equal(f.ended, 3);
	assert_log(&f, 0, "still here\n", false);
	tear_down(&f);
}

static void test_the_quietest_gives_way(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	size_t last = LOG_FOLLOWERS_MAX;
	for (size_t i = 0; i < last; i++)
		start(&f, i, false, 60 * SECOND);
	for (size_t i = 1; i < last; i++)
		send_text(&f, i, "working\n");
	/* At once none of them is quiet. */
	start(&f, last, false, 60 * SECOND);
	assert_null(f.requests[last]);
	pass(&f, LOG_FOLLOWER_QUIET / 2);
	assert_null(f.requests[last]);
	for (size_t i = 2; i < last; i++)
		send_text(&f, i, "still working\n");
	pass(&f, LOG_FOLLOWER_QUIET);
	assert_non_null(f.requests[last]); /* in the place of 0, which never said anything */
	assert_int_equal(f.followers.dropped, 1);
	assert_int_equal(f.ended, 1);
	assert_int_equal(f.followers.open.count, LOG_FOLLOWERS_MAX);
	f.requests[0] = NULL;
	start(&f, last + 1, false, 60 * SECOND);
	pass(&f, SECOND / 2);
	assert_non_null(f.requests[last + 1]); /* of 1: what it said is kept */
	assert_int_equal(f.followers.dropped, 2);
	assert_missed(&f, 0, "too-many");
	assert_log(&f, 0, NULL, false);
	assert_log(&f, 1, "working\n", false);
	/* A place that becomes free is taken at once. */
	for (size_t i = 2; i < last; i++)
		send_text(&f, i, "x\n");
	send_text(&f, last, "x\n");
	send_text(&f, last + 1, "x\n");
	start(&f, last + 2, false, 60 * SECOND);
	assert_null(f.requests[last + 2]);
	end_response(&f, 5, 200);
	assert_non_null(f.requests[last + 2]);
	assert_log(&f, 5, "working\nstill working\nx\n", true);
	tear_down(&f);
}

/* Each of many logs is read as far as it goes, though there are places for few at a time. */
static void test_all_of_a_storm_are_read(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	for (size_t i = 0; i < PODS_MAX; i++)
		start(&f, i, false, 30 * SECOND);
	for (int second = 0; second < 20; second++) {
		for (size_t i = 0; i < PODS_MAX; i++)
			if (f.requests[i] != NULL && f.requests[i]->operation == NULL) {
				char text[32];
				snprintf(text, sizeof text, "this is %zu\n", i);
				send_text(&f, i, text);
				f.requests[i] = NULL; /* and no more of it */
			}
		assert_true(f.followers.open.count - f.followers.yielding <= LOG_FOLLOWERS_MAX);
		pass(&f, SECOND);
	}
	for (size_t i = 0; i < PODS_MAX; i++) {
		char text[32];
		snprintf(text, sizeof text, "this is %zu\n", i);
		assert_log(&f, i, text, false);
	}
	assert_int_equal(f.followers.dropped, PODS_MAX - LOG_FOLLOWERS_MAX);
	tear_down(&f);
}

static void test_a_quiet_watchdog_keeps_its_place_for_a_grace_period(void **state)
{
	struct fixture f;
	(void)state;
	set_up(&f);
	size_t last = LOG_FOLLOWERS_MAX;
	for (size_t i = 0; i < last; i++)
		start(&f, i, true, 600 * SECOND);
	start(&f, last, true, 600 * SECOND);
	struct termination termination = termination_of(&f, last);
	assert_false(log_follower_is_open(f.pods[last], &termination)); /* it waits */
	pass(&f, LOG_FOLLOWER_QUIET_WATCHDOG - SECOND);
	assert_null(f.requests[last]);
	pass(&f, 2 * SECOND);
	assert_non_null(f.requests[last]);
	assert_int_equal(f.followers.dropped, 1);
	tear_down(&f);
}

static void test_what_is_kept_is_bounded(void **state)
{
	struct fixture f;
	char *large = malloc(LOG_BUFFER_SIZE + 1);
	(void)state;
	assert_non_null(large);
	memset(large, 'x', LOG_BUFFER_SIZE);
	large[LOG_BUFFER_SIZE] = '\0';
	set_up(&f);
	for (size_t i = 0; i < PODS_MAX; i++) {
		start(&f, i, false, 30 * SECOND);
		send_text(&f, i, large);
		end_response(&f, i, 200);
		assert_in_range(f.followers.kept.total, 0, LOG_FOLLOWED_BYTES_MAX);
	}
	assert_log(&f, 0, large, true);
	assert_log(&f, PODS_MAX - 1, NULL, false);
	start(&f, PODS_MAX - 1, false, 30 * SECOND);
	send_text(&f, PODS_MAX - 1, "there is room again\n");
	end_response(&f, PODS_MAX - 1, 200);
	assert_log(&f, PODS_MAX - 1, "there is room again\n", true);
	tear_down(&f);
	free(large);
}

/* ---- One tenant and the others ---- */

#define MONTH (INT64_C(30) * 24 * 3600 * SECOND)

/* Everybody who is open says something, so that nobody is quiet. */
static void chatter(struct fixture *f, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (f->requests[i] != NULL)
			send_text(f, i, "still here\n");
}

/* The namespace of a follower that is being read. */
static size_t places_of(struct fixture *f, const char *namespace)
{
	struct fair_holder *holder = fair_share_acquire(&f->followers.places, namespace);
	size_t amount = holder->amount;
	fair_share_release(&f->followers.places, holder);
	return amount;
}

/* 128 pods with a grace period of a month, whose agents print on and on. */
static void test_a_month_of_grace_takes_no_places_of_others(void **state)
{
	struct fixture f;
	bool complete;
	(void)state;
	set_up(&f);
	f.namespace = "evil";
	for (size_t i = 0; i < 200; i++)
		start(&f, i, false, MONTH);
	assert_int_equal(places_of(&f, "evil"), LOG_FOLLOWERS_MAX);
	chatter(&f, 200);
	/* Others' logs are read at once, and as many of them as is fair. */
	f.namespace = "team";
	for (size_t i = 200; i < 200 + LOG_FOLLOWERS_MAX / 2; i++) {
		start(&f, i, i % 2, 30 * SECOND);
		pass(&f, 0);
		assert_non_null(f.requests[i]);
		chatter(&f, 300);
	}
	assert_int_equal(places_of(&f, "team"), LOG_FOLLOWERS_MAX / 2);
	/* And they stay, as quiet as they are: of those who wait nobody may have more. */
	for (int i = 0; i < 20; i++) {
		pass(&f, SECOND / 2);
		chatter(&f, 200);
	}
	assert_int_equal(places_of(&f, "team"), LOG_FOLLOWERS_MAX / 2);
	assert_non_null(f.requests[200]);
	send_text(&f, 200, "the last words\n");
	end_response(&f, 200, 200);
	const struct termination termination = termination_of(&f, 200);
	struct log_text text = log_follower_take_log(f.pods[200], &termination, &complete);
	assert_true(complete && text.length > strlen("the last words"));
	free(text.bytes);
	/* No log is followed for a month. */
	for (int i = 0; i < 2000 && f.followers.open.count > 0; i++) {
		pass(&f, SECOND / 2);
		chatter(&f, 300);
	}
	assert_int_equal(f.followers.open.count + f.followers.waiting.count, 0);
	assert_true(f.loop.now < 100 * SECOND + LOG_FOLLOWER_TIME_MAX + 60 * SECOND);
	tear_down(&f);
}

/* What one namespace's logs leave in memory leaves room for the others'. */
static void test_what_is_kept_is_shared(void **state)
{
	struct fixture f;
	static char large[LOG_BUFFER_SIZE];
	(void)state;
	set_up(&f);
	memset(large, 'x', sizeof large - 1);
	f.namespace = "evil";
	for (size_t i = 0; i < 299; i++) {
		start(&f, i, false, MONTH);
		send_text(&f, i, large);
		end_response(&f, i, 200);
		pass(&f, 0);
	}
	assert_in_range(f.followers.kept.total, LOG_FOLLOWED_BYTES_MAX / 2,
	                LOG_FOLLOWED_BYTES_MAX * 3 / 4);
	f.namespace = "team";
	start(&f, 299, false, SECOND);
	send_text(&f, 299, large);
	end_response(&f, 299, 200);
	assert_non_null(f.pods[299]->agents[0].log);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_an_agents_log_is_followed_to_its_end),
	        cmocka_unit_test(test_a_lost_containers_log_was_followed),
	        cmocka_unit_test(test_the_watchdogs_log_is_followed_for_all_its_agents),
	        cmocka_unit_test(test_what_was_read_stays_whatever_comes_later),
	        cmocka_unit_test(test_why_a_log_was_missed),
	        cmocka_unit_test(test_time_is_bounded),
	        cmocka_unit_test(test_the_quietest_gives_way),
	        cmocka_unit_test(test_all_of_a_storm_are_read),
	        cmocka_unit_test(test_a_quiet_watchdog_keeps_its_place_for_a_grace_period),
	        cmocka_unit_test(test_what_is_kept_is_bounded),
	        cmocka_unit_test(test_a_month_of_grace_takes_no_places_of_others),
	        cmocka_unit_test(test_what_is_kept_is_shared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
