/* An event loop at 18:38:00 with metrics, and the server behind it: for the tests of what makes
 * requests. Such a test takes each request, looks at it, and responds. */
#ifndef LASTWORD_TESTS_LOOP_WORLD_H
#define LASTWORD_TESTS_LOOP_WORLD_H

#include <string.h>

#include <cmocka.h>

#include "lib/base/buffer.h"
#include "observer/base/event_loop.h"
#include "observer/base/metrics.h"

#define WORLD_BEGIN (INT64_C(1795459080) * SECOND) /* 2026-11-23T18:38:00Z */

static struct {
	struct event_loop loop;
	struct observer_metrics *metrics;
} world;

static inline void world_init(void)
{
	world.metrics = observer_metrics_new();
	event_loop_init(&world.loop, 1, 8);
	world.loop.now = SECOND;
	world.loop.wall = WORLD_BEGIN;
}

static inline void world_free(void)
{
	event_loop_free(&world.loop);
	observer_metrics_free(world.metrics);
}

/* Both clocks. */
static inline void world_pass(int64_t nanoseconds)
{
	world.loop.now += nanoseconds;
	world.loop.wall += nanoseconds;
}

/* A body that is received as it comes does so in small pieces. */
static inline void respond(struct request *request, long status, const char *body)
{
	struct kube_response _cleanup_kube_response_ response;
	struct error error = {"refused"};
	kube_response_init(&response);
	response.status = status;
	if (request->receive == NULL)
		buffer_append_text(&response.body, body);
	else if (status / 100 == 2)
		for (size_t i = 0; i < strlen(body); i += 7)
			event_loop_receive(request, body + i, strnlen(body + i, 7));
	event_loop_finish_request(&world.loop, request, &response,
	                          status / 100 == 2 ? NULL : &error);
}

/* The next request, whose method and path are as expected. */
static inline struct request *next(const char *method, const char *path)
{
	event_loop_fire_timers(&world.loop);
	struct request *request = event_loop_next_request(&world.loop);
	assert_non_null(request);
	assert_string_equal(request->kube.method == NULL ? "GET" : request->kube.method, method);
	assert_string_equal(request->kube.path, path);
	return request;
}

static inline void no_request(void)
{
	event_loop_fire_timers(&world.loop);
	assert_null(event_loop_next_request(&world.loop));
}

/* The metrics have that line. */
static inline void assert_metric(const char *line)
{
	struct buffer _cleanup_buffer_ out;
	buffer_init(&out, 1 << 20);
	observer_metrics_write(world.metrics, &out);
	if (strstr(buffer_text(&out), line) == NULL)
		fail_msg("%s is not in\n%s", line, buffer_text(&out));
}

#endif
