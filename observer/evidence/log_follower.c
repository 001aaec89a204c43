#include "observer/evidence/log_follower.h"

#include <stdlib.h>
#include <string.h>

#include "lib/kube/names.h"
#include "observer/pod/watchdog_report.h"
#include "lib/base/line_splitter.h"
#include "observer/evidence/log_reader.h"

#define REPORT_LINES   20
#define KEPT_EAGERNESS 3 /* one namespace alone: three quarters of LOG_FOLLOWED_BYTES_MAX */

enum follower_state { WAITING, OPEN, YIELDING };

/* It holds its pod; its agent, or all watched agents of the pod, point to it as long as it lives.
 */
struct log_follower {
	struct log_follower *previous;
	struct log_follower *next;
	struct log_followers *followers;
	enum follower_state state;
	struct fair_holder *place;  /* its namespace, among OPEN ones */
	struct fair_holder *queued; /* and among WAITING ones */
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
	if (follower->state == WAITING)
		fair_share_give_back(&followers->queue, follower->queued, 1);
	if (follower->state == OPEN)
		fair_share_give_back(&followers->places, follower->place, 1);
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
	fair_share_release(&follower->followers->places, follower->place);
	fair_share_release(&follower->followers->queue, follower->queued);
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

static void set_missed(struct log_follower *follower, enum log_missed missed)
{
	if (follower->agent != NULL)
		follower->agent->log_missed = (unsigned char)missed;
}

/* For whoever looks into the termination, which may have been seen or not. Takes over the bytes. */
static void keep(struct log_follower *follower, struct cached_agent *agent, struct log_text text,
                 bool complete)
{
	struct fair_share *share = &follower->followers->kept;
	struct cached_log log = {.bytes = text.bytes,
	                         .length = text.length,
	                         .cut = text.cut,
	                         .complete = complete,
	                         .share = share};
	if (text.bytes == NULL)
		return;
	log.holder = fair_share_acquire(share, follower->pod->facts->namespace);
	if (log.holder != NULL && fair_share_fits(share, log.holder, text.length,
	                                          LOG_FOLLOWED_BYTES_MAX, KEPT_EAGERNESS)) {
		cached_agent_keep_log(agent, &log);
		return;
	}
	fair_share_release(share, log.holder);
	free(text.bytes);
	set_missed(follower, LOG_MISSED_TOO_MANY);
}

/* Not while bytes are being received: it cancels its request. */
static void finish_follower(struct log_follower *follower)
{
	struct log_followers *followers = follower->followers;
	struct cached_pod *pod = follower->pod;
	followers->dropped += follower->state != OPEN;
	if (follower->agent != NULL) {
		take_buffer(follower);
		set_missed(follower, follower->complete          ? LOG_NOT_MISSED
		                     : follower->state != OPEN   ? LOG_MISSED_TOO_MANY
		                     : follower->request == NULL ? LOG_MISSED_REFUSED
		                                                 : LOG_MISSED_LATE);
		keep(follower, follower->agent, follower->text, follower->complete);
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
	keep(follower, agent, copy, true);
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

/* The one that gives way for the waiting one; NULL: none does. */
static struct log_follower *find_yielding(const struct log_follower *waiting)
{
	const struct log_followers *followers = waiting->followers;
	const struct fair_holder *largest = NULL;
	struct log_follower *quietest = NULL;
	if (fair_share_may_displace(&followers->places, waiting->place, 1))
		largest = fair_share_largest(&followers->places);
	for (struct log_follower *f = followers->open.first; f != NULL; f = f->next) {
		bool quiet = may_yield(f) && (f->place == waiting->place ||
		                              f->place->amount > waiting->place->amount);
		if (f->state == OPEN && (quiet || f->place == largest) &&
		    (quietest == NULL || is_quieter(f, quietest)))
			quietest = f;
	}
	return quietest;
}

/* There is a place, or one gives way for it. */
static bool make_room(struct log_follower *waiting)
{
	struct log_followers *followers = waiting->followers;
	if (followers->open.count - followers->yielding < LOG_FOLLOWERS_MAX)
		return true;
	struct log_follower *yielding = find_yielding(waiting);
	/* Later: this may be called while another request's bytes are received. */
	if (yielding == NULL ||
	    !event_loop_set_timer(followers->loop, &yielding->deadline, followers->loop->now))
		return false;
	yielding->state = YIELDING;
	followers->yielding++;
	fair_share_give_back(&followers->places, yielding->place, 1);
	return true;
}

static void open_follower(struct log_follower *follower)
{
	struct log_followers *followers = follower->followers;
	leave_list(follower);
	follower->state = OPEN;
	fair_share_take(&followers->places, follower->place, 1);
	follower->received_at = followers->loop->now;
	append(&followers->open, follower);
	followers->begun++;
	if (!send_request(follower))
		event_loop_set_timer(followers->loop, &follower->reconnection,
		                     followers->loop->now + SECOND);
}

/* The first of the namespace that has the fewest places. */
static struct log_follower *next_waiting(const struct log_followers *followers)
{
	struct log_follower *best = followers->waiting.first;
	for (struct log_follower *f = best; f != NULL && best->place->amount > 0; f = f->next)
		if (f->place->amount < best->place->amount)
			best = f;
	return best;
}

static void open_waiting(struct log_followers *followers)
{
	struct log_follower *next;
	while ((next = next_waiting(followers)) != NULL && make_room(next))
		open_follower(next);
	/* Others may still have quiet ones of their own. */
	const struct fair_holder *tried = next == NULL ? NULL : next->place;
	for (struct log_follower *f = followers->waiting.first; f != NULL; f = next) {
		next = f->next;
		if (f->place == tried)
			continue;
		tried = f->place;
		if (make_room(f))
			open_follower(f);
	}
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
	struct fair_holder *place = fair_share_acquire(&followers->places, pod->facts->namespace);
	struct fair_holder *queued = fair_share_acquire(&followers->queue, pod->facts->namespace);
	if (follower == NULL || (agent == NULL && arena == NULL) || place == NULL ||
	    queued == NULL) {
		fair_share_release(&followers->places, place);
		fair_share_release(&followers->queue, queued);
		arena_free(arena);
		free(follower);
		return NULL;
	}
	*follower = (struct log_follower){
	        .followers = followers,
	        .state = WAITING,
	        .place = place,
	        .queued = queued,
	        .pod = pod,
	        .agent = agent,
	        .deadline = {.fire = deadline_passed, .context = follower},
	        .reconnection = {.fire = reconnect, .context = follower},
	        .arena = arena,
	};
	line_splitter_init(&follower->splitter, LOG_READER_LINE_MAX);
	append(&followers->waiting, follower);
	fair_share_take(&followers->queue, queued, 1);
	cached_pod_acquire(pod);
	return follower;
}

static void drop_waiting(struct log_follower *follower)
{
	follower->followers->dropped++;
	set_missed(follower, LOG_MISSED_TOO_MANY);
	free_follower(follower);
}

/* The last of the namespace that has most in the full queue leaves it, where that is not this one.
 */
static bool make_room_in_queue(struct log_followers *followers, const char *namespace)
{
	struct log_follower *last = followers->waiting.last;
	struct fair_holder *holder = fair_share_acquire(&followers->queue, namespace);
	bool displaces = holder != NULL && fair_share_may_displace(&followers->queue, holder, 1);
	const struct fair_holder *largest = fair_share_largest(&followers->queue);
	fair_share_release(&followers->queue, holder);
	while (displaces && last != NULL && last->queued != largest)
		last = last->previous;
	if (!displaces || last == NULL)
		return false;
	drop_waiting(last);
	return true;
}

static struct log_follower *follow(struct log_followers *followers, struct cached_pod *pod,
                                   struct cached_agent *agent, int64_t until)
{
	struct log_follower *follower = NULL;
	if (followers->waiting.count < LOG_FOLLOWERS_WAITING_MAX ||
	    make_room_in_queue(followers, pod->facts->namespace))
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
		/* Until it has ended otherwise. */
		agent->log_missed = LOG_MISSED_TOO_MANY;
		if (!agent->watched)
			agent->follower = follow(followers, pod, agent, until);
		else if (watchdog == NULL)
			agent->follower = watchdog = follow(followers, pod, NULL, until);
		else
			agent->follower = watchdog;
	}
}

/* ---- What was read ---- */

/*
 * The termination is of an earlier container than the one whose log is, or was, followed. A kubelet
 * that has lost the container of a deleted pod (ContainerStatusUnknown; 1.20 does when many are
 * deleted at once) reports its termination as that of an earlier one, without a later one.
 */
static bool is_earlier(const struct cached_agent *agent, const struct termination *termination)
{
	return termination->previous && (termination_has_exit_code(termination) ||
	                                 agent->running > termination->restart_count ||
	                                 agent->handled > termination->restart_count);
}

bool log_follower_is_open(struct cached_pod *pod, const struct termination *termination)
{
	const struct cached_agent *agent = cached_pod_find_agent(pod, termination->container);
	const struct log_follower *follower = agent == NULL ? NULL : agent->follower;
	return follower != NULL && follower->state != WAITING &&
	       (termination->watched || !is_earlier(agent, termination));
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
	if (agent == NULL || is_earlier(agent, termination))
		return text;
	struct log_follower *follower = agent->follower;
	if (follower != NULL && follower->agent == NULL)
		return text; /* its watchdog's */
	if (follower != NULL && follower->state != WAITING)
		return take_open_log(follower);
	if (follower != NULL)
		drop_waiting(follower);
	struct cached_log log;
	if (!cached_agent_take_log(agent, &log))
		return text;
	*ret_complete = log.complete;
	return (struct log_text){.bytes = log.bytes, .length = log.length, .cut = log.cut};
}

const char *log_follower_missed(struct cached_pod *pod, const struct termination *termination)
{
	static const char *const names[] = {
	        [LOG_MISSED_TOO_MANY] = "too-many",
	        [LOG_MISSED_REFUSED] = "refused",
	        [LOG_MISSED_LATE] = "late",
	};
	const struct cached_agent *agent = cached_pod_find_agent(pod, termination->container);
	if (agent == NULL || termination->watched || !agent->followed ||
	    is_earlier(agent, termination))
		return NULL;
	return names[log_follower_is_open(pod, termination) ? LOG_MISSED_LATE : agent->log_missed];
}
