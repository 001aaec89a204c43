/* The observer's parts one by one: event loop, line splitter, pod cache, Event groups, lease,
 * record GC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/log.h"
#include "lib/base/line_splitter.h"
#include "observer/observer.h"

/* ---- Event loop ---- */

static unsigned fired[64];
static size_t fired_count;

static void on_fire(void *context)
{
	fired[fired_count++] = *(unsigned *)context;
}

static void test_timers_fire_in_order(void **state)
{
	(void)state;
	struct event_loop loop;
	struct timer timers[32];
	unsigned numbers[32];
	event_loop_init(&loop, 7, 4);
	for (unsigned round = 0; round < 200; round++) {
		fired_count = 0;
		for (unsigned i = 0; i < 32; i++) {
			numbers[i] = i;
			timers[i] = (struct timer){.fire = on_fire, .context = &numbers[i]};
			event_loop_set_timer(&loop, &timers[i],
			                     (int64_t)(event_loop_random(&loop) % 10));
		}
		/* Some are moved, some are cleared. */
		for (unsigned i = 0; i < 32; i += 3)
			event_loop_set_timer(&loop, &timers[i],
			                     (int64_t)(event_loop_random(&loop) % 10));
		for (unsigned i = 0; i < 32; i += 5)
			event_loop_clear_timer(&loop, &timers[i]);
		int64_t last = 0;
		for (loop.now = 0; loop.now < 10; loop.now++) {
			size_t before = fired_count;
			event_loop_fire_timers(&loop);
			for (size_t i = before; i < fired_count; i++) {
				const struct timer *timer = &timers[fired[i]];
				assert_int_equal(timer->due, loop.now);
				assert_true(i == before ||
				            timers[fired[i - 1]].number < timer->number);
				assert_true(timer->due >= last);
				last = timer->due;
			}
		}
		assert_int_equal(fired_count, 32 - 7);
		assert_int_equal(event_loop_next_timer(&loop), INT64_MAX);
	}
	event_loop_free(&loop);
}

static unsigned finished;

static void on_finish(void *context, struct kube_response *response, const struct error *error)
{
	(void)context;
	(void)response;
	assert_null(error);
	finished++;
}

static unsigned dropped;

static void on_drop(void *transport, struct request *request)
{
	(void)transport;
	assert_true(request->in_flight);
	dropped++;
}

static struct request *add(struct event_loop *loop, enum request_priority priority)
{
	return event_loop_add_request(loop, &(struct request){.kube = {.path = request_path("/x")},
	                                                      .priority = priority,
	                                                      .finish = on_finish});
}

static void test_requests_wait_their_turn(void **state)
{
	(void)state;
	struct event_loop loop;
	struct kube_response response;
	struct request *requests[6];
	event_loop_init(&loop, 1, 2);
	loop.cancel = on_drop;
	for (size_t i = 0; i < 5; i++)
		requests[i] = add(&loop, REQUEST_ORDINARY);
	requests[5] = add(&loop, REQUEST_URGENT);
	assert_ptr_equal(event_loop_next_request(&loop), requests[5]);
	assert_ptr_equal(event_loop_next_request(&loop), requests[0]);
	assert_ptr_equal(event_loop_next_request(&loop), requests[1]);
	assert_null(event_loop_next_request(&loop));
	kube_response_init(&response);
	event_loop_finish_request(&loop, requests[0], &response, NULL);
	event_loop_cancel_request(&loop,
	                          requests[2]); /* it waits: the transport does not know of it */
	assert_int_equal(dropped, 0);
	assert_ptr_equal(event_loop_next_request(&loop), requests[3]);
	assert_null(event_loop_next_request(&loop));
	event_loop_cancel_request(&loop, requests[1]);
	assert_int_equal(dropped, 1);
	assert_ptr_equal(event_loop_next_request(&loop), requests[4]);
	event_loop_free(&loop);
	assert_int_equal(dropped, 4);
	assert_int_equal(finished, 1);
}

static struct request *add_for(struct event_loop *loop, const char *namespace)
{
	const struct request request = {
	        .kube = {.path = request_path("/api/v1/namespaces/%s/pods/p/log", namespace)},
	        .finish = on_finish,
	};
	return event_loop_add_request(loop, &request);
}

static bool is_of(const struct request *request, const char *namespace)
{
	return request != NULL && strcmp(request->holder->name, namespace) == 0;
}

/* 200 requests of one namespace that nobody answers: the others' go out at once. */
static void test_no_namespace_takes_all_requests(void **state)
{
	struct event_loop loop;
	struct request *held[6];
	(void)state;
	event_loop_init(&loop, 1, 8);
	for (int i = 0; i < 200; i++)
		add_for(&loop, "evil");
	for (int i = 0; i < 6; i++)
		assert_true(is_of(held[i] = event_loop_next_request(&loop), "evil"));
	assert_null(event_loop_next_request(&loop));
	add_for(&loop, "team-a");
	add_for(&loop, "team-b");
	struct request *a = event_loop_next_request(&loop);
	assert_true(is_of(a, "team-a"));
	assert_true(is_of(event_loop_next_request(&loop), "team-b"));
	/* All places are taken. The next free one is of whoever has the fewest. */
	add_for(&loop, "team-c");
	assert_null(event_loop_next_request(&loop));
	event_loop_cancel_request(&loop, held[0]);
	assert_true(is_of(event_loop_next_request(&loop), "team-c"));
	event_loop_cancel_request(&loop, a);
	assert_null(event_loop_next_request(&loop)); /* and not evil's, which has 5 of 8 */
	event_loop_free(&loop);
}

/* ---- Line splitter ---- */

static struct buffer taken;

static bool take(void *context, const char *line, size_t length)
{
	size_t *left = context;
	buffer_append(&taken, line, length);
	buffer_append_char(&taken, '|');
	return --*left > 0;
}

static void test_line_splitter(void **state)
{
	(void)state;
	struct line_splitter splitter;
	size_t left = 100;
	buffer_init(&taken, 10000);
	line_splitter_init(&splitter, 5);
	static const char text[] = "a\n\nbcdef\nbcdefg\nx\nlast";
	for (size_t i = 0; i < sizeof text - 1; i++)
		assert_true(line_splitter_feed(&splitter, text + i, 1, take, &left));
	assert_true(line_splitter_end(&splitter, take, &left));
	assert_string_equal(buffer_text(&taken), "a||bcdef|x|last|");
	assert_int_equal(splitter.skipped, 1);
	buffer_clear(&taken);
	left = 2;
	assert_false(line_splitter_feed(&splitter, "1\n2\n3\n", 6, take, &left));
	assert_string_equal(buffer_text(&taken), "1|2|");
	line_splitter_free(&splitter);
	buffer_free(&taken);
}

/* ---- Pod cache ---- */

/* Names as long as Kubernetes allows, a full context, messages longer than any limit. */
static void test_a_cached_pod_is_small(void **state)
{
	(void)state;
	struct pod_cache cache;
	char uid[40];
	char name[254];
	char label[64];
	static char message[12 * 1024];
	memset(name, 'n', sizeof name - 1);
	memset(label, 'l', sizeof label - 1);
	memset(message, 'm', sizeof message - 1);
	name[sizeof name - 1] = label[sizeof label - 1] = '\0';
	char context[3 * 74];
	size_t length = 0;
	for (size_t i = 0; i < 3; i++)
		length += (size_t)sprintf(context + length, "task_id_%zu%c%s", i, '\0', label) + 1;
	assert_true(pod_cache_init(&cache));
	size_t before = mallinfo2().uordblks;
	const size_t count = 2000;
	for (size_t i = 0; i < count; i++) {
		snprintf(uid, sizeof uid, "%08zu-6072-4d1e-b93d-ce7308d8b4fc", i);
		const struct termination facts = {
		        .namespace = label,
		        .pod = name,
		        .uid = uid,
		        .node = name,
		        .container = label,
		        .owner_api_version = "batch/v1",
		        .owner_kind = "Job",
		        .owner_name = label,
		        .owner_uid = uid,
		        .agent = label,
		        .context = {.bytes = context, .length = length},
		};
		const struct termination never_started = {.reason = "CreateContainerConfigError",
		                                          .message = message};
		struct cached_pod *pod = pod_cache_add(&cache, &facts, 2);
		assert_non_null(pod);
		assert_ptr_equal(pod_cache_find(&cache, uid), pod);
		cached_pod_set_never_started(pod, &pod->agents[0], &never_started);
		cached_pod_set_never_started(pod, &pod->agents[1], &never_started);
		struct termination back = cached_pod_never_started(pod, &pod->agents[1]);
		assert_string_equal(back.reason, never_started.reason);
		assert_int_equal(strlen(back.message), CACHED_MESSAGE_MAX / 2);
		assert_string_equal(back.node, name);
	}
	size_t each = (mallinfo2().uordblks - before) / count;
	assert_in_range(each, 0, CACHED_POD_MAX);
	assert_in_range(sizeof(struct cached_agent), 0, CACHED_AGENT_MAX);
	pod_cache_free(&cache);
}

/* ---- Events ---- */

static void test_storms_are_grouped(void **state)
{
	(void)state;
	static struct event_groups groups;
	unsigned sent = 0;
	for (unsigned i = 0; i < 1000; i++)
		sent += event_is_allowed(&groups, "team", "5f0c2a91d3e8b764", SECOND);
	assert_int_equal(sent, EVENT_BURST);
	assert_true(event_is_allowed(&groups, "team", "0123456789abcdef", SECOND));
	/* One a minute from then on, and the whole burst again after an hour. */
	assert_false(event_is_allowed(&groups, "team", "5f0c2a91d3e8b764", 60 * SECOND));
	assert_true(event_is_allowed(&groups, "team", "5f0c2a91d3e8b764", 61 * SECOND));
	assert_false(event_is_allowed(&groups, "team", "5f0c2a91d3e8b764", 62 * SECOND));
	for (unsigned i = sent = 0; i < 100; i++)
		sent += event_is_allowed(&groups, "team", "5f0c2a91d3e8b764", 3600 * SECOND);
	assert_int_equal(sent, EVENT_BURST);
}

/* Terminations that a tenant forges, with the fingerprint of another tenant's. */
static void test_a_forged_fingerprint_groups_nobody_elses_events(void **state)
{
	(void)state;
	static struct event_groups groups;
	unsigned forged = 0;
	for (unsigned i = 0; i < 12; i++)
		forged += event_is_allowed(&groups, "evil", "5f0c2a91d3e8b764", SECOND);
	assert_int_equal(forged, EVENT_BURST);
	for (unsigned i = 0; i < 5; i++)
		assert_true(event_is_allowed(&groups, "team", "5f0c2a91d3e8b764", SECOND));
	/* Displaced ones only begin anew. */
	for (unsigned i = 0; i < 100 * EVENT_GROUPS; i++) {
		char fingerprint[17];
		snprintf(fingerprint, sizeof fingerprint, "%016x", i);
		event_is_allowed(&groups, "evil", fingerprint, SECOND);
	}
	assert_true(event_is_allowed(&groups, "team", "5f0c2a91d3e8b764", SECOND));
}

/* ---- Lease and record GC: a server that has one of them ---- */

static void respond(struct event_loop *loop, struct request *request, long status, const char *body)
{
	struct kube_response _cleanup_kube_response_ response;
	struct error error = {"refused"};
	kube_response_init(&response);
	response.status = status;
	buffer_append_text(&response.body, body);
	event_loop_finish_request(loop, request, &response, status / 100 == 2 ? NULL : &error);
}

static struct {
	char spec[1024]; /* "": there is no Lease */
	unsigned version;
	bool away;
} server;

static void serve_lease(struct event_loop *loop)
{
	struct request *request;
	char body[2048];
	while ((request = event_loop_next_request(loop)) != NULL) {
		const char *spec =
		        request->kube.body == NULL ? NULL : strstr(request->kube.body, "\"spec\":");
		char version[64];
		snprintf(version, sizeof version, "\"resourceVersion\":\"%u\"", server.version);
		if (server.away) {
			respond(loop, request, 0, "");
			continue;
		}
		if (spec == NULL && server.spec[0] == '\0') {
			respond(loop, request, 404, "");
			continue;
		}
		if (spec != NULL && server.spec[0] != '\0' &&
		    strstr(request->kube.body, version) == NULL) {
			respond(loop, request, 409, "");
			continue;
		}
		if (spec != NULL) {
			snprintf(server.spec, sizeof server.spec, "%s", spec);
			server.version++;
		}
		snprintf(body, sizeof body, "{\"metadata\":{\"resourceVersion\":\"%u\"},%s",
		         server.version, server.spec);
		respond(loop, request, 200, body);
	}
}

static unsigned leaders;
static unsigned changes;

static void on_change(void *context, bool leader)
{
	(void)context;
	leaders += leader ? 1 : (unsigned)-1;
	changes++;
}

struct candidate {
	struct event_loop loop;
	struct lease lease;
};

static void begin(struct candidate *candidate, const char *name, uint64_t seed)
{
	event_loop_init(&candidate->loop, seed, 4);
	lease_init(&candidate->lease, &candidate->loop, "ns", "lease", name, on_change, NULL);
	lease_start(&candidate->lease);
}

static void advance(struct candidate *candidates, size_t count, int64_t from, int64_t to)
{
	for (int64_t now = from; now <= to; now += SECOND / 10) {
		for (size_t i = 0; i < count; i++) {
			struct event_loop *loop = &candidates[i].loop;
			loop->now = now;
			loop->wall = INT64_C(1795459080) * SECOND + now;
			event_loop_fire_timers(loop);
			serve_lease(loop);
		}
		assert_in_range(leaders, 0, 1);
	}
}

static void test_one_leads(void **state)
{
	(void)state;
	static struct candidate candidates[2];
	begin(&candidates[0], "a", 1);
	begin(&candidates[1], "b", 2);
	advance(candidates, 2, SECOND, 60 * SECOND);
	assert_int_equal(leaders, 1);
	assert_int_equal(changes, 1); /* the first one, all the time */
	assert_true(candidates[0].lease.leader);

	/* The leader cannot reach the server and stops leading in time; the other one takes over.
	 */
	server.away = true;
	advance(candidates, 1, 60 * SECOND, 60 * SECOND + LEASE_RENEW + 3 * SECOND);
	assert_int_equal(leaders, 0);
	server.away = false;
	candidates[1].lease.changed_at = 60 * SECOND;
	advance(&candidates[1], 1, 75 * SECOND, 80 * SECOND);
	assert_true(candidates[1].lease.leader);
	advance(candidates, 2, 80 * SECOND, 100 * SECOND);
	assert_false(candidates[0].lease.leader);
	assert_non_null(strstr(server.spec, "\"leaseTransitions\":2"));

	/* Released: the other replica does not wait for 15 s. */
	lease_release(&candidates[1].lease);
	serve_lease(&candidates[1].loop);
	assert_null(candidates[1].lease.request);
	assert_non_null(strstr(server.spec, "\"holderIdentity\":\"\""));
	advance(candidates, 1, 100 * SECOND, 104 * SECOND);
	assert_true(candidates[0].lease.leader);
	for (size_t i = 0; i < 2; i++) {
		lease_free(&candidates[i].lease);
		event_loop_free(&candidates[i].loop);
	}
}

/* Records n0 … of two namespaces, in pages of ten; those that are deleted are marked. */
#define RECORDS 40
static bool gone[2][RECORDS];
static unsigned pages;

static void list_records(struct event_loop *loop, struct request *request)
{
	struct buffer body;
	const char *token = strstr(request->kube.path, "&continue=");
	size_t from = token == NULL ? 0 : (size_t)atoi(token + 10);
	pages++;
	/* Whole records in the first pass, only their metadata in the others. */
	if (pages <= 8)
		assert_null(request->kube.accept);
	else
		assert_non_null(strstr(request->kube.accept, "PartialObjectMetadataList"));
	buffer_init(&body, 1 << 20);
	buffer_printf(&body, "{\"metadata\":{\"continue\":\"");
	if (from + 10 < (size_t)2 * RECORDS)
		buffer_printf(&body, "%zu", from + 10);
	buffer_append_text(&body, "\"},\"items\":[");
	const char *comma = "";
	for (size_t i = from; i < from + 10; i++) {
		if (gone[i / RECORDS][i % RECORDS])
			continue;
		/* Times go up and down within a namespace; number 3 and 7 are very old. */
		buffer_printf(&body,
		              "%s{\"metadata\":{\"namespace\":\"%s\",\"name\":\"n%zu\","
		              "\"creationTimestamp\":\"2026-%s-01T00:%02zu:00Z\"},"
		              "\"spec\":{}}",
		              comma, i < RECORDS ? "a" : "b", i % RECORDS,
		              i % RECORDS == 3 || i % RECORDS == 7 ? "01" : "11",
		              (i % RECORDS) * 7 % 60);
		comma = ",";
	}
	buffer_append_text(&body, "]}");
	respond(loop, request, 200, buffer_text(&body));
	buffer_free(&body);
}

static void serve_records(struct event_loop *loop)
{
	struct request *request;
	char namespace[8];
	unsigned number;
	while ((request = event_loop_next_request(loop)) != NULL) {
		if (request->kube.method == NULL) {
			list_records(loop, request);
			continue;
		}
		assert_string_equal(request->kube.method, "DELETE");
		assert_int_equal(sscanf(request->kube.path,
		                        "/apis/lastword.dev/v1alpha1/namespaces/%7[^/]/agentexits/"
		                        "n%u",
		                        namespace, &number),
		                 2);
		bool *record = &gone[namespace[0] - 'a'][number];
		assert_false(*record);
		*record = true;
		respond(loop, request, 200, "{}");
	}
}

static unsigned found;

static void on_found(void *context, const struct agent_exit *exit)
{
	(void)context;
	assert_non_null(exit->namespace);
	found++;
}

static void test_old_records_go(void **state)
{
	(void)state;
	struct event_loop loop;
	struct record_gc gc;
	struct observer_metrics *metrics = observer_metrics_new();
	event_loop_init(&loop, 1, 4);
	loop.wall = INT64_C(1795459080) * SECOND; /* 2026-11-23 */
	const int64_t ttl = INT64_C(90) * 24 * 3600 * SECOND;
	record_gc_init(&gc, &loop, metrics, NULL, ttl, 12, on_found, NULL);
	record_gc_set_leader(&gc, true);
	for (loop.now = 0; loop.now < 700 * SECOND; loop.now += SECOND) {
		event_loop_fire_timers(&loop);
		serve_records(&loop);
	}
	assert_int_equal(pages, 16);
	assert_int_equal(found, 2 * RECORDS - 4); /* once, without the old ones */
	for (size_t ns = 0; ns < 2; ns++) {
		size_t kept = 0;
		size_t oldest_kept = 60;
		size_t newest_gone = 0;
		assert_true(gone[ns][3] && gone[ns][7]);
		for (size_t i = 0; i < RECORDS; i++) {
			size_t minute = i * 7 % 60;
			kept += !gone[ns][i];
			if (!gone[ns][i] && minute < oldest_kept)
				oldest_kept = minute;
			if (gone[ns][i] && i != 3 && i != 7 && minute > newest_gone)
				newest_gone = minute;
		}
		assert_int_equal(kept, 12);
		assert_true(newest_gone <= oldest_kept);
	}
	record_gc_free(&gc);
	event_loop_free(&loop);
	observer_metrics_free(metrics);
}

/* With a namespace, only its records are listed. */
static void test_records_of_one_namespace(void **state)
{
	(void)state;
	struct event_loop loop;
	struct record_gc gc;
	struct observer_metrics *metrics = observer_metrics_new();
	event_loop_init(&loop, 1, 4);
	record_gc_init(&gc, &loop, metrics, "agents", 3600 * SECOND, 12, on_found, NULL);
	record_gc_set_leader(&gc, true);
	loop.now = 120 * SECOND;
	event_loop_fire_timers(&loop);
	struct request *request = event_loop_next_request(&loop);
	assert_non_null(request);
	static const char expected[] =
	        "/apis/lastword.dev/v1alpha1/namespaces/agents/agentexits?limit=";
	assert_memory_equal(request->kube.path, expected, sizeof expected - 1);
	record_gc_free(&gc);
	event_loop_free(&loop);
	observer_metrics_free(metrics);
}

/* ---- The time of day ---- */

enum { DAY = 24 * 3600 }; /* when it is, by the right clock, at 0 of the monotonic one; seconds */

/* The machine's clock is ahead by so many seconds; where the observer's is then. */
static int64_t read_ahead(struct wall_clock *clock, int64_t now, int64_t ahead)
{
	return wall_clock_read(clock, now * SECOND, (DAY + now + ahead) * SECOND) / SECOND - DAY -
	       now;
}

static void take_date(struct wall_clock *clock, int64_t now)
{
	wall_clock_take_date(clock, now * SECOND, now * SECOND, (DAY + now) * SECOND);
}

static void test_a_machine_whose_clock_jumps(void **state)
{
	(void)state;
	struct wall_clock clock = {.known = false};
	assert_int_equal(read_ahead(&clock, 1, 0), 0);
	assert_int_equal(read_ahead(&clock, 2, 3600), 0);
	assert_int_equal(read_ahead(&clock, 3, -3600), 0);
	take_date(&clock, 3);
	assert_int_equal(read_ahead(&clock, 4, -3600), 0);
	/* It is corrected little by little, or was never far off. */
	for (int64_t ahead = 1; ahead <= 4; ahead++)
		assert_int_equal(read_ahead(&clock, 4 + ahead, ahead), ahead);
	take_date(&clock, 9);
	assert_int_equal(read_ahead(&clock, 9, 4), 4);
}

/* A machine whose clock is wrong, until somebody sets it. */
static void test_a_machine_whose_clock_is_wrong(void **state)
{
	(void)state;
	struct wall_clock clock = {.known = false};
	assert_int_equal(read_ahead(&clock, 1, 3600), 3600);
	wall_clock_take_date(&clock, 2 * SECOND, 2 * SECOND, -1);
	assert_int_equal(read_ahead(&clock, 2, 3600), 3600);
	/* Nobody knows when in this response that was. */
	wall_clock_take_date(&clock, 9 * SECOND, 2 * SECOND, (DAY + 2) * SECOND);
	assert_int_equal(read_ahead(&clock, 9, 3600), 3600);
	take_date(&clock, 10);
	assert_int_equal(read_ahead(&clock, 10, 3600), 0);
	assert_int_equal(read_ahead(&clock, 1000, 3600), 0);
	assert_int_equal(read_ahead(&clock, 1001, 2), 2);
}

int main(void)
{
	log_set_level(LOG_ERROR);
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_timers_fire_in_order),
	        cmocka_unit_test(test_requests_wait_their_turn),
	        cmocka_unit_test(test_no_namespace_takes_all_requests),
	        cmocka_unit_test(test_line_splitter),
	        cmocka_unit_test(test_a_cached_pod_is_small),
	        cmocka_unit_test(test_storms_are_grouped),
	        cmocka_unit_test(test_a_forged_fingerprint_groups_nobody_elses_events),
	        cmocka_unit_test(test_one_leads),
	        cmocka_unit_test(test_old_records_go),
	        cmocka_unit_test(test_records_of_one_namespace),
	        cmocka_unit_test(test_a_machine_whose_clock_jumps),
	        cmocka_unit_test(test_a_machine_whose_clock_is_wrong),
	};
	return cmocka_run_group_tests_name("observer", tests, NULL, NULL);
}
