#include "observer/notify/notification.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "observer/notify/event_post.h"

#define EVENT_BODY_MAX ((size_t)16 * 1024)

static const char *const receivers[] = {[EVENT_POD] = "event-pod", [EVENT_OWNER] = "event-owner"};

static void send_event(void *context);

/* The next step is taken from the event loop, also where nothing has to be waited for. */
static void schedule(struct notification *notification, int64_t delay)
{
	struct event_loop *loop = notification->notifier->loop;
	event_loop_set_timer(loop, &notification->timer, loop->now + delay);
}

void notification_start(struct notification *notification, const struct notification *what)
{
	*notification = *what;
	notification->request = NULL;
	memset(notification->deliveries, 0, sizeof notification->deliveries);
	notification->timer = (struct timer){.fire = send_event, .context = notification};
	schedule(notification, 0);
}

void notification_cancel(struct notification *notification)
{
	if (notification->notifier == NULL)
		return;
	event_loop_cancel_request(notification->notifier->loop, notification->request);
	event_loop_clear_timer(notification->notifier->loop, &notification->timer);
	notification->notifier = NULL;
}

static void set_delivery(struct notification *notification, enum event_target target,
                         const char *state, const struct error *error)
{
	const char *result = strcmp(state, AGENT_EXIT_NOTIFICATION_DELIVERED) == 0 ? "delivered"
	                     : strcmp(state, AGENT_EXIT_NOTIFICATION_FAILED) == 0  ? "failed"
	                                                                           : "grouped";
	struct delivery *delivery = &notification->deliveries[target];
	delivery->state = state;
	delivery->at = notification->notifier->loop->wall;
	if (error != NULL)
		snprintf(delivery->message, sizeof delivery->message, "%.150s", error->message);
	observer_metrics_count_notification(notification->notifier->metrics, receivers[target],
	                                    result);
}

/* The first receiver without a result; false: there is none. */
static bool next_target(const struct notification *notification, enum event_target *ret_target)
{
	bool owned = notification->termination->owner_kind != NULL;
	if (notification->deliveries[EVENT_POD].state == NULL)
		*ret_target = EVENT_POD;
	else if (owned && notification->deliveries[EVENT_OWNER].state == NULL)
		*ret_target = EVENT_OWNER;
	else
		return false;
	return true;
}

static void event_sent(void *context, struct kube_response *response, const struct error *error)
{
	struct notification *notification = context;
	enum event_target target = EVENT_POD;
	notification->request = NULL;
	next_target(notification, &target);
	struct delivery *delivery = &notification->deliveries[target];
	delivery->attempts++;
	bool passing = response->status == 0 || response->status == 429 || response->status >= 500;
	int64_t delay = 0;
	if (error == NULL || response->status == 409)
		set_delivery(notification, target, AGENT_EXIT_NOTIFICATION_DELIVERED, NULL);
	else if (!passing || delivery->attempts >= NOTIFICATION_ATTEMPTS)
		set_delivery(notification, target, AGENT_EXIT_NOTIFICATION_FAILED, error);
	else
		/* As for a GET: if the Event was created though no response came, the next POST
		 * gets 409. */
		delay = kube_retry_delay("GET", response, delivery->attempts,
		                         event_loop_random(notification->notifier->loop));
	schedule(notification, delay);
}

static void write_event(const struct notification *notification, enum event_target target,
                        struct buffer *out)
{
	char name[EVENT_NAME_SIZE];
	char message[EVENT_MESSAGE_MAX];
	char code[32] = "";
	const struct termination *termination = notification->termination;
	const struct event_text text = {.reason = notification->reason, .message = message};
	/* The summary has it where there was no statement. */
	if (notification->exit_code != AGENT_EXIT_UNKNOWN &&
	    strstr(notification->summary, "exit ") != notification->summary)
		snprintf(code, sizeof code, "exit %" PRId64 ": ", notification->exit_code);
	snprintf(message, sizeof message,
	         "%s%s%scontainer %s, run %" PRId64 ": %s%s (AgentExit %s)",
	         target == EVENT_OWNER ? "pod " : "", target == EVENT_OWNER ? termination->pod : "",
	         target == EVENT_OWNER ? ", " : "", termination->container,
	         termination->restart_count, code, notification->summary, notification->record);
	event_name(termination, notification->reason, target, name);
	event_write(termination, target, name, &text, notification->notifier->loop->wall, out);
}

/* Nothing was sent yet, and too many similar ones were. */
static bool is_grouped(struct notification *notification)
{
	const struct delivery *first = &notification->deliveries[EVENT_POD];
	return first->attempts == 0 && first->state == NULL && notification->fingerprint != NULL &&
	       !event_is_allowed(&notification->notifier->groups,
	                         notification->termination->namespace, notification->fingerprint,
	                         notification->notifier->loop->now);
}

static void send_event(void *context)
{
	struct notification *notification = context;
	struct notifier *notifier = notification->notifier;
	enum event_target target;
	struct buffer body;
	if (is_grouped(notification))
		while (next_target(notification, &target))
			set_delivery(notification, target, AGENT_EXIT_NOTIFICATION_GROUPED, NULL);
	if (!next_target(notification, &target)) {
		notification->notifier = NULL;
		notification->finished(notification->context);
		return;
	}
	buffer_init(&body, EVENT_BODY_MAX);
	write_event(notification, target, &body);
	notification->request = event_post(notifier->loop, notification->termination->namespace,
	                                   &body, event_sent, notification);
	if (notification->request == NULL)
		schedule(notification, SECOND);
}

size_t notification_list(const struct notification *notification,
                         char ret_ids[EVENT_TARGETS][EVENT_NAME_SIZE],
                         struct agent_exit_notification ret_entries[EVENT_TARGETS])
{
	size_t count = 0;
	for (int i = 0; i < EVENT_TARGETS; i++) {
		const struct delivery *delivery = &notification->deliveries[i];
		if (delivery->state == NULL)
			continue;
		event_name(notification->termination, notification->reason, (enum event_target)i,
		           ret_ids[i]);
		ret_entries[count++] = (struct agent_exit_notification){
		        .receiver = receivers[i],
		        .state = delivery->state,
		        .id = ret_ids[i],
		        .time = delivery->at,
		        .attempts = delivery->attempts,
		        .message = delivery->message[0] == '\0' ? NULL : delivery->message,
		};
	}
	return count;
}
