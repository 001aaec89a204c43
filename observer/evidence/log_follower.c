#include "observer/evidence/log_follower.h"

#include <stdlib.h>
#include <string.h>

#include "lib/kube/names.h"
#include "observer/pod/watchdog_report.h"
#include "observer/base/line_splitter.h"
#include "observer/evidence/log_reader.h"

#define REPORT_LINES 20

enum follower_state { WAITING, OPEN, YIELDING };

/* It holds its pod; its agent, or all watched agents of the pod, point to it as long as it lives.
 */
struct log_follower {
	struct log_follower *previous;
	struct log_follower *next;
	struct log_followers *followers;
	enum follower_state state;
	struct cached_pod *pod;
	struct cached_agent *agent; /* whose own log it is; NULL: the watchdog's */
	struct request *request;
	struct timer deadline;
	struct timer reconnection;
	unsigned failures;
	int64_t received_at; /* the last bytes; until then when it was opened */
	bool received;       /* something, ever */
	/* of the watchdog's log */
	struct line_splitter splitter;
	struct arena *arena;
	/* of an agent's log: the present request's, and what earlier ones brought */
	struct log_buffer buffer;
	struct log_text text;
	bool complete;
};

static void open_waiting(struct log_followers *followers);

static void retry_waiting(void *context)
{
	open_waiting(context);
}

void log_followers_init(struct log_followers *followers, struct event_loop *loop,
                        void (*ended)(void *context, struct cached_pod *pod), void *context)
{
	*followers = (struct log_followers){.loop = loop,
	                                    .retry = {.fire = retry_waiting, .context = followers},
	                                    .ended = ended,
	                                    .context = context};
}

/* ---- Lists ---- */

static void append(struct log_follower_list *list, struct log_follower *follower)
{
	follower->previous = list->last;
	follower->next = NULL;
	if (list->last != NULL)
		list->last->next = follower;
	else
		list->first = follower;
	list->last = follower;
	list->count++;
}

static void take_out(struct log_follower_list *list, struct log_follower *follower)
{
	if (follower->previous != NULL)
		follower->previous->next = follower->next;
	else
		list->first = follower->next;
	if (follower->next != NULL)
		follower->next->previous = follower->previous;
	else
		list->last = follower->previous;
	list->count--;
}

static void leave_list(struct log_follower *follower)
{
	struct log_followers *followers = follower->followers;
	take_out(follower->state == WAITING ? &followers->waiting : &followers->open, follower);
	followers->yielding -= follower->state == YIELDING;
}

/* ---- Ending ---- */

static void free_follower(struct log_follower *follower)
{
	struct event_loop *loop = follower->followers->loop;
	event_loop_clear_timer(loop, &follower->deadline);
	event_loop_clear_timer(loop, &follower->reconnection);
	event_loop_cancel_request(loop, follower->request);
	line_splitter_free(&follower->splitter);
	arena_free(follower->arena);
	log_buffer_free(&follower->buffer);
	free(follower->text.bytes);
	for (size_t i = 0; i < follower->pod->agent_count; i++)
		if (follower->pod->agents[i].follower == follower)
			follower->pod->agents[i].follower = NULL;
	leave_list(follower);
	cached_pod_release(follower->pod);
	free(follower);
}

void log_followers_free(struct log_followers *followers)
{
	event_loop_clear_timer(followers->loop, &followers->retry);
	while (followers->open.first != NULL)
		free_follower(followers->open.first);
	while (followers->waiting.first != NULL)
		free_follower(followers->waiting.first);
}

/* What the present request has brought takes the place of what earlier ones have. */
static bool take_buffer(struct log_follower *follower)
{
	struct log_text text = log_buffer_read(&follower->buffer);
	log_buffer_free(&follower->buffer);
	if (text.bytes != NULL) {
		free(follower->text.bytes);
		follower->text = text;
	}
	return !text.failed;
}

/* For whoever looks into the termination, which may have been seen or not. Takes over the bytes. */
static void keep(struct log_followers *followers, struct cached_agent *agent, struct log_text text,
                 bool complete)
{
	const struct cached_log log = {.bytes = text.bytes,
	                               .length = text.length,
	                               .cut = text.cut,
	                               .complete = complete,
	                               .kept_bytes = &followers->kept_bytes};
	if (text.bytes == NULL)
		return;
	if (followers->kept_bytes + text.length > LOG_FOLLOWED_BYTES_MAX)
		free(text.bytes);
	else
		cached_agent_keep_log(agent, &log);
}

/* Not while bytes are being received: it cancels its request. */
static void finish_follower(struct log_follower *follower)
{
	struct log_followers *followers = follower->followers;
	struct cached_pod *pod = follower->pod;
	followers->dropped += follower->state != OPEN;
	if (follower->agent != NULL) {
		take_buffer(follower);
		keep(followers, follower->agent, follower->text, follower->complete);
		follower->text.bytes = NULL;
	}
	cached_pod_acquire(pod);
	free_follower(follower);
	followers->ended(followers->context, pod);
	cached_pod_release(pod);
	open_waiting(followers);
}

/* ---- Reading ---- */

static bool take_line(void *context, const char *text, size_t length)
{
	struct log_follower *follower = context;
	struct watchdog_report report;
	arena_reset(follower->arena);
	if (!watchdog_report_read(follower->arena, text, length, follower->pod->facts->uid,
	                          &report))
		return true;
	struct cached_agent *agent = cached_pod_find_agent(follower->pod, report.container);
	struct log_text copy = {.bytes = agent == NULL ? NULL : malloc(length), .length = length};
	if (copy.bytes == NULL)
		return true;
	memcpy(copy.bytes, text, length);
	keep(follower->followers, agent, copy, true);
	return true;
}

static bool receive(void *context, const char *bytes, size_t length)
{
	struct log_follower *follower = context;
	follower->received = true;
	follower->received_at = follower->followers->loop->now;
	if (follower->agent == NULL)
		return line_splitter_feed(&follower->splitter, bytes, length, take_line, follower);
	log_buffer_append(&follower->buffer, bytes, length);
	return true;
}

static void finished(void *context, struct kube_response *response, const struct error *error)
{
	struct log_follower *follower = context;
	struct event_loop *loop = follower->followers->loop;
	struct kube_response unavailable = {.retry_after = -1};
	bool good = error == NULL;
	follower->request = NULL;
	if (follower->agent == NULL) {
		line_splitter_end(&follower->splitter, take_line, follower);
	} else if (!take_buffer(follower) && good) {
		good = false; /* the kubelet failed to read on: a node short of inotify instances */
		response = &unavailable;
	}
	follower->complete = good;
	/* After a broken connection the log is read again from its last lines. */
	int64_t delay = good ? -1
	                     : kube_retry_delay("GET", response, ++follower->failures,
	                                        event_loop_random(loop));
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
	bool own = follower->agent != NULL;
	const struct request request = {
	        .kube = {.path = request_path("/api/v1/namespaces/%s/pods/%s/log?container=%s"
	                                      "&follow=true&tailLines=%d",
	                                      facts->namespace, facts->pod,
	                                      own ? follower->agent->name : NAME_WATCHDOG,
	                                      own ? LOG_BUFFER_LINES : REPORT_LINES)},
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

/* ---- Beginning ---- */

/* a gives way before b. */
static bool is_quieter(const struct log_follower *a, const struct log_follower *b)
{
	if (a->received != b->received)
		return b->received;
	return a->received_at < b->received_at;
}

static bool may_yield(const struct log_follower *follower)
{
	int64_t quiet = follower->followers->loop->now - follower->received_at;
	return follower->state == OPEN &&
	       quiet >=
	               (follower->agent == NULL ? LOG_FOLLOWER_QUIET_WATCHDOG : LOG_FOLLOWER_QUIET);
}

/* There is a place, or one gives way for it. */
static bool make_room(struct log_followers *followers)
{
	struct log_follower *quietest = NULL;
	if (followers->open.count - followers->yielding < LOG_FOLLOWERS_MAX)
		return true;
	for (struct log_follower *f = followers->open.first; f != NULL; f = f->next)
		if (may_yield(f) && (quietest == NULL || is_quieter(f, quietest)))
			quietest = f;
	if (quietest == NULL)
		return false;
	/* Later: this may be called while another request's bytes are received. */
	if (!event_loop_set_timer(followers->loop, &quietest->deadline, followers->loop->now))
		return false;
	quietest->state = YIELDING;
	followers->yielding++;
	return true;
}

static void open_follower(struct log_follower *follower)
{
	struct log_followers *followers = follower->followers;
	leave_list(follower);
	follower->state = OPEN;
	follower->received_at = followers->loop->now;
	append(&followers->open, follower);
	followers->begun++;
	if (!send_request(follower))
		event_loop_set_timer(followers->loop, &follower->reconnection,
		                     followers->loop->now + SECOND);
}

static void open_waiting(struct log_followers *followers)
{
	while (followers->waiting.first != NULL && make_room(followers))
		open_follower(followers->waiting.first);
	if (followers->waiting.first != NULL)
		event_loop_set_timer(followers->loop, &followers->retry,
		                     followers->loop->now + LOG_FOLLOWER_QUIET / 4);
}

/* It is waiting. agent NULL: the watchdog's log. */
static struct log_follower *make_follower(struct log_followers *followers, struct cached_pod *pod,
                                          struct cached_agent *agent)
{
	struct log_follower *follower = calloc(1, sizeof *follower);
	struct arena *arena = agent != NULL || follower == NULL ? NULL : arena_new(0);
	if (follower == NULL || (agent == NULL && arena == NULL)) {
		free(follower);
		return NULL;
	}
	*follower = (struct log_follower){
	        .followers = followers,
	        .state = WAITING,
	        .pod = pod,
	        .agent = agent,
	        .deadline = {.fire = deadline_passed, .context = follower},
	        .reconnection = {.fire = reconnect, .context = follower},
	        .arena = arena,
	};
	line_splitter_init(&follower->splitter, LOG_READER_LINE_MAX);
	append(&followers->waiting, follower);
	cached_pod_acquire(pod);
	return follower;
}

static struct log_follower *follow(struct log_followers *followers, struct cached_pod *pod,
                                   struct cached_agent *agent, int64_t until)
{
	struct log_follower *follower = NULL;
	if (followers->waiting.count < LOG_FOLLOWERS_WAITING_MAX)
		follower = make_follower(followers, pod, agent);
	if (follower == NULL ||
	    !event_loop_set_timer(followers->loop, &follower->deadline, until)) {
		followers->dropped++;
		if (follower != NULL)
			free_follower(follower);
		return NULL;
	}
	open_waiting(followers);
	return follower;
}

void log_follower_start(struct log_followers *followers, struct cached_pod *pod, int64_t grace)
{
	struct log_follower *watchdog = NULL;
	if (grace < 0)
		grace = 0;
	int64_t until = followers->loop->now + LOG_FOLLOWER_EXTRA_TIME +
	                (grace < LOG_FOLLOWER_TIME_MAX ? grace : LOG_FOLLOWER_TIME_MAX);
	for (size_t i = 0; i < pod->agent_count; i++)
		if (pod->agents[i].watched && pod->agents[i].follower != NULL)
			watchdog = pod->agents[i].follower;
	for (size_t i = 0; i < pod->agent_count; i++) {
		struct cached_agent *agent = &pod->agents[i];
		if (agent->running < 0 || agent->followed)
			continue;
		agent->followed = true;
		if (!agent->watched)
			agent->follower = follow(followers, pod, agent, until);
		else if (watchdog == NULL)
			agent->follower = watchdog = follow(followers, pod, NULL, until);
		else
			agent->follower = watchdog;
	}
}

/* ---- What was read ---- */

bool log_follower_is_open(struct cached_pod *pod, const struct termination *termination)
{
	const struct cached_agent *agent = cached_pod_find_agent(pod, termination->container);
	const struct log_follower *follower = agent == NULL ? NULL : agent->follower;
	return follower != NULL && follower->state != WAITING &&
	       (termination->watched || !termination->previous);
}

const struct cached_log *log_follower_report(struct cached_pod *pod,
                                             const struct termination *termination)
{
	struct watchdog_report report;
	const struct cached_agent *agent = cached_pod_find_agent(pod, termination->container);
	const struct cached_log *log = agent == NULL ? NULL : agent->log;
	struct arena *_cleanup_arena_ arena =
	        log == NULL || !termination->watched ? NULL : arena_new(0);
	if (arena != NULL &&
	    watchdog_report_read(arena, log->bytes, log->length, termination->uid, &report) &&
	    watchdog_report_distance(&report, termination) >= 0)
		return log;
	return NULL;
}

/* What a follower that is still open has by now. */
static struct log_text take_open_log(struct log_follower *follower)
{
	struct log_text text = log_buffer_read(&follower->buffer);
	if (text.bytes != NULL)
		return text;
	text = follower->text;
	follower->text = (struct log_text){.bytes = NULL};
	return text;
}

struct log_text log_follower_take_log(struct cached_pod *pod, const struct termination *termination,
                                      bool *ret_complete)
{
	struct log_text text = {.bytes = NULL};
	struct cached_agent *agent = cached_pod_find_agent(pod, termination->container);
	*ret_complete = false;
	if (agent == NULL || termination->previous)
		return text;
	if (agent->follower != NULL && agent->follower->agent == NULL)
		return text; /* its watchdog's */
	if (agent->follower != NULL && agent->follower->state == WAITING) {
		agent->follower->followers->dropped++;
		free_follower(agent->follower);
	}
	if (agent->follower != NULL)
		return take_open_log(agent->follower);
	struct cached_log log;
	if (!cached_agent_take_log(agent, &log))
		return text;
	*ret_complete = log.complete;
	return (struct log_text){.bytes = log.bytes, .length = log.length, .cut = log.cut};
}
