#include "observer/evidence/log_follower.h"

#include <stdlib.h>
#include <string.h>

#include "lib/kube/names.h"
#include "observer/pod/watchdog_report.h"
#include "observer/base/line_splitter.h"
#include "observer/evidence/log_reader.h"

#define TAIL_LINES 20

/* It holds its pod, and the pod points to it, while the log is being followed. */
struct log_follower {
	struct log_follower *previous;
	struct log_follower *next;
	struct log_followers *followers;
	struct cached_pod *pod;
	struct request *request;
	struct timer deadline;
	struct timer reconnection;
	unsigned failures;
	struct line_splitter splitter;
	struct arena *arena;
};

void log_followers_init(struct log_followers *followers, struct event_loop *loop,
                        void (*ended)(void *context, struct cached_pod *pod), void *context)
{
	*followers = (struct log_followers){.loop = loop, .ended = ended, .context = context};
}

static void close_follower(struct log_follower *follower)
{
	struct log_followers *followers = follower->followers;
	event_loop_clear_timer(followers->loop, &follower->deadline);
	event_loop_clear_timer(followers->loop, &follower->reconnection);
	event_loop_cancel_request(followers->loop, follower->request);
	line_splitter_free(&follower->splitter);
	arena_free(follower->arena);
	follower->pod->follower = NULL;
	if (follower->previous != NULL)
		follower->previous->next = follower->next;
	else
		followers->first = follower->next;
	if (follower->next != NULL)
		follower->next->previous = follower->previous;
	followers->count--;
	free(follower);
}

void log_followers_free(struct log_followers *followers)
{
	while (followers->first != NULL) {
		struct cached_pod *pod = followers->first->pod;
		close_follower(followers->first);
		cached_pod_release(pod);
	}
}

static bool take_line(void *context, const char *text, size_t length)
{
	struct log_follower *follower = context;
	struct watchdog_report report;
	arena_reset(follower->arena);
	if (!watchdog_report_read(follower->arena, text, length, follower->pod->facts->uid,
	                          &report))
		return true;
	struct cached_agent *agent = cached_pod_find_agent(follower->pod, report.container);
	char *copy = agent == NULL ? NULL : malloc(length + 1);
	if (copy == NULL)
		return true;
	memcpy(copy, text, length);
	copy[length] = '\0';
	free(agent->last_report);
	agent->last_report = copy;
	return true;
}

static bool receive(void *context, const char *bytes, size_t length)
{
	struct log_follower *follower = context;
	return line_splitter_feed(&follower->splitter, bytes, length, take_line, follower);
}

static void finish_follower(struct log_follower *follower)
{
	struct log_followers *followers = follower->followers;
	struct cached_pod *pod = follower->pod;
	close_follower(follower);
	followers->ended(followers->context, pod);
	cached_pod_release(pod);
}

static void finished(void *context, struct kube_response *response, const struct error *error)
{
	struct log_follower *follower = context;
	struct event_loop *loop = follower->followers->loop;
	follower->request = NULL;
	/* After a broken connection the log is read again from its last lines. */
	int64_t delay = error == NULL ? -1
	                              : kube_retry_delay("GET", response, ++follower->failures,
	                                                 event_loop_random(loop));
	line_splitter_end(&follower->splitter, take_line, follower);
	if (delay < 0 || follower->failures > LOG_READER_ATTEMPTS ||
	    !event_loop_set_timer(loop, &follower->reconnection, loop->now + delay))
		finish_follower(follower);
}

static void deadline_passed(void *context)
{
	finish_follower(context);
}

static bool send_request(struct log_follower *follower)
{
	const struct termination *facts = follower->pod->facts;
	const struct request request = {
	        .kube = {.path = request_path(
	                         "/api/v1/namespaces/%s/pods/%s/log?container=" NAME_WATCHDOG
	                         "&follow=true&tailLines=%d",
	                         facts->namespace, facts->pod, TAIL_LINES)},
	        .priority = REQUEST_URGENT,
	        .receive = receive,
	        .finish = finished,
	        .context = follower,
	};
	follower->request = event_loop_add_request(follower->followers->loop, &request);
	return follower->request != NULL;
}

static void reconnect(void *context)
{
	if (!send_request(context))
		finish_follower(context);
}

void log_follower_start(struct log_followers *followers, struct cached_pod *pod, int64_t until)
{
	if (pod->followed || followers->count >= LOG_FOLLOWERS_MAX)
		return;
	struct log_follower *follower = calloc(1, sizeof *follower);
	if (follower == NULL)
		return;
	*follower = (struct log_follower){
	        .followers = followers,
	        .pod = pod,
	        .deadline = {.fire = deadline_passed, .context = follower},
	        .reconnection = {.fire = reconnect, .context = follower},
	        .arena = arena_new(0),
	};
	line_splitter_init(&follower->splitter, LOG_READER_LINE_MAX);
	if (follower->arena == NULL || !send_request(follower) ||
	    !event_loop_set_timer(followers->loop, &follower->deadline,
	                          until + LOG_FOLLOWER_EXTRA_TIME)) {
		event_loop_cancel_request(followers->loop, follower->request);
		arena_free(follower->arena);
		free(follower);
		return;
	}
	follower->next = followers->first;
	if (followers->first != NULL)
		followers->first->previous = follower;
	followers->first = follower;
	followers->count++;
	followers->begun++;
	pod->follower = follower;
	pod->followed = true;
	cached_pod_acquire(pod);
}

bool log_follower_is_open(const struct cached_pod *pod)
{
	return pod->follower != NULL;
}

const char *log_follower_report(struct cached_pod *pod, const struct termination *termination)
{
	struct watchdog_report report;
	const struct cached_agent *agent = cached_pod_find_agent(pod, termination->container);
	const char *text = agent == NULL ? NULL : agent->last_report;
	struct arena *_cleanup_arena_ arena = text == NULL ? NULL : arena_new(0);
	if (arena != NULL &&
	    watchdog_report_read(arena, text, strlen(text), termination->uid, &report) &&
	    watchdog_report_distance(&report, termination) >= 0)
		return text;
	return NULL;
}
