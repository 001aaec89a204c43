#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "observer/record/publication.h"

#define STATUS_MAX      ((size_t)16 * 1024)
#define TELL_ATTEMPTS   8
#define STATUS_ATTEMPTS 20

static const char *const targets[] = {[EVENT_POD] = "event-pod", [EVENT_OWNER] = "event-owner"};

static void status_written(void *context, struct kube_response *response, const struct error *error)
{
	struct publication *publication = context;
	publication->request = NULL;
	if (error == NULL || response->status == 404 || publication->attempts >= STATUS_ATTEMPTS)
		publication_over(publication);
	else
		publication_again(publication, response);
}

static void tell_status(struct publication *publication)
{
	char names[2][EVENT_NAME_SIZE];
	struct agent_exit exit;
	struct buffer body;
	agent_exit_init(&exit);
	for (int i = EVENT_POD; i <= EVENT_OWNER; i++) {
		const struct delivery *delivery = &publication->deliveries[i];
		if (delivery->state == NULL)
			continue;
		event_name(publication->end, (enum event_target)i, names[i]);
		exit.notifications[exit.notification_count++] = (struct agent_exit_notification){
		        .receiver = targets[i],
		        .state = delivery->state,
		        .id = names[i],
		        .time = delivery->at,
		        .attempts = delivery->attempts,
		        .message = delivery->message[0] == '\0' ? NULL : delivery->message,
		};
	}
	buffer_init(&body, STATUS_MAX);
	agent_exit_write_status(&exit, &body);
	publication_ask(publication, "PATCH", KUBE_MERGE_PATCH,
	                publish_path(publication->end->namespace, publication->name, "/status"),
	                &body, status_written);
}

static void set_told(struct publication *publication, enum event_target target, const char *state,
                     const struct error *error)
{
	struct delivery *delivery = &publication->deliveries[target];
	delivery->state = state;
	delivery->at = publication->publisher->engine->wall;
	if (error != NULL)
		snprintf(delivery->message, sizeof delivery->message, "%.150s", error->message);
	meters_told(publication->publisher->meters, targets[target],
	            strcmp(state, AGENT_EXIT_NOTIFICATION_DELIVERED) == 0 ? "delivered"
	            : strcmp(state, AGENT_EXIT_NOTIFICATION_FAILED) == 0  ? "failed"
	                                                                  : "grouped");
}

/* The first receiver that has not been told. */
static enum event_target next_target(const struct publication *publication)
{
	return publication->deliveries[EVENT_POD].state == NULL ? EVENT_POD : EVENT_OWNER;
}

static void event_written(void *context, struct kube_response *response, const struct error *error)
{
	struct publication *publication = context;
	enum event_target target = next_target(publication);
	publication->request = NULL;
	publication->deliveries[target].attempts++;
	bool passing = response->status == 0 || response->status == 429 || response->status >= 500;
	if (error == NULL || response->status == 409) {
		set_told(publication, target, AGENT_EXIT_NOTIFICATION_DELIVERED, NULL);
	} else if (passing && publication->deliveries[target].attempts < TELL_ATTEMPTS) {
		publication_again(publication, response);
		return;
	} else {
		set_told(publication, target, AGENT_EXIT_NOTIFICATION_FAILED, error);
	}
	publication_enter(publication, publication_tell, 0);
}

static void tell_event(struct publication *publication, enum event_target target)
{
	char name[EVENT_NAME_SIZE];
	char message[EVENT_MESSAGE_MAX];
	struct buffer body;
	const struct end *end = publication->end;
	const struct event_text text = {
	        .reason = publication->silent ? "SilentAgentExit" : "AgentExit",
	        .message = message,
	};
	snprintf(message, sizeof message, "%s%s%scontainer %s, run %" PRId64 ": %s (AgentExit %s)",
	         target == EVENT_OWNER ? "pod " : "", target == EVENT_OWNER ? end->pod : "",
	         target == EVENT_OWNER ? ", " : "", end->container, end->run, publication->summary,
	         publication->name);
	event_name(end, target, name);
	buffer_init(&body, STATUS_MAX);
	event_write(end, target, name, &text, publication->publisher->engine->wall, &body);
	publication_ask(publication, "POST", NULL,
	                engine_text("/api/v1/namespaces/%s/events", end->namespace), &body,
	                event_written);
}

void publication_tell(struct publication *publication)
{
	struct publisher *publisher = publication->publisher;
	bool owned = publication->end->owner_kind != NULL;
	enum event_target target = next_target(publication);
	if (publication->deliveries[EVENT_POD].attempts == 0 &&
	    publication->deliveries[EVENT_POD].state == NULL &&
	    !event_may_tell(&publisher->groups, publication->fingerprint, publisher->engine->now)) {
		set_told(publication, EVENT_POD, AGENT_EXIT_NOTIFICATION_GROUPED, NULL);
		if (owned)
			set_told(publication, EVENT_OWNER, AGENT_EXIT_NOTIFICATION_GROUPED, NULL);
	}
	if (publication->deliveries[target].state != NULL || (target == EVENT_OWNER && !owned))
		publication_enter(publication, tell_status, 0);
	else
		tell_event(publication, target);
}
