#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "observer/record/publication.h"

#define STATUS_MAX      ((size_t)16 * 1024)
#define TELL_ATTEMPTS   8
#define STATUS_ATTEMPTS 20

static const char *const targets[] = {[EVENT_POD] = "event-pod", [EVENT_OWNER] = "event-owner"};

static void status_written(void *context, struct kube_answer *answer, const struct error *error)
{
	struct publication *publication = context;
	publication->request = NULL;
	if (error == NULL || answer->status == 404 || publication->attempts >= STATUS_ATTEMPTS)
		publication_over(publication);
	else
		publication_again(publication, answer);
}

static void tell_status(struct publication *publication)
{
	char names[2][EVENT_NAME_SIZE];
	struct agent_exit exit;
	struct buffer body;
	agent_exit_init(&exit);
	for (int i = EVENT_POD; i <= EVENT_OWNER; i++) {
		const struct told *told = &publication->told[i];
		if (told->state == NULL)
			continue;
		event_name(publication->end, (enum event_target)i, names[i]);
		exit.told[exit.told_count++] = (struct agent_exit_told){
		        .to = targets[i],
		        .state = told->state,
		        .id = names[i],
		        .at = told->at,
		        .attempts = told->attempts,
		        .message = told->message[0] == '\0' ? NULL : told->message,
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
	struct told *told = &publication->told[target];
	told->state = state;
	told->at = publication->publisher->engine->wall;
	if (error != NULL)
		snprintf(told->message, sizeof told->message, "%.150s", error->message);
	meters_told(publication->publisher->meters, targets[target],
	            strcmp(state, AGENT_EXIT_TOLD_DELIVERED) == 0 ? "delivered"
	            : strcmp(state, AGENT_EXIT_TOLD_FAILED) == 0  ? "failed"
	                                                          : "grouped");
}

/* The first receiver that has not been told. */
static enum event_target next_target(const struct publication *publication)
{
	return publication->told[EVENT_POD].state == NULL ? EVENT_POD : EVENT_OWNER;
}

static void event_written(void *context, struct kube_answer *answer, const struct error *error)
{
	struct publication *publication = context;
	enum event_target target = next_target(publication);
	publication->request = NULL;
	publication->told[target].attempts++;
	bool passing = answer->status == 0 || answer->status == 429 || answer->status >= 500;
	if (error == NULL || answer->status == 409) {
		set_told(publication, target, AGENT_EXIT_TOLD_DELIVERED, NULL);
	} else if (passing && publication->told[target].attempts < TELL_ATTEMPTS) {
		publication_again(publication, answer);
		return;
	} else {
		set_told(publication, target, AGENT_EXIT_TOLD_FAILED, error);
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
	if (publication->told[EVENT_POD].attempts == 0 &&
	    publication->told[EVENT_POD].state == NULL &&
	    !event_may_tell(&publisher->groups, publication->fingerprint, publisher->engine->now)) {
		set_told(publication, EVENT_POD, AGENT_EXIT_TOLD_GROUPED, NULL);
		if (owned)
			set_told(publication, EVENT_OWNER, AGENT_EXIT_TOLD_GROUPED, NULL);
	}
	if (publication->told[target].state != NULL || (target == EVENT_OWNER && !owned))
		publication_enter(publication, tell_status, 0);
	else
		tell_event(publication, target);
}
