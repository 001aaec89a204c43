#include "observer/audit/uninjected_pods.h"

#include <stdio.h>

#include "lib/base/hash.h"
#include "lib/base/buffer.h"
#include "observer/notify/event.h"
#include "observer/notify/event_post.h"

#define BODY_MAX ((size_t)16 * 1024)

void uninjected_pods_init(struct uninjected_pods *pods, struct event_loop *loop,
                          struct observer_metrics *metrics)
{
	*pods = (struct uninjected_pods){.loop = loop, .metrics = metrics};
}

void uninjected_pods_count(struct uninjected_pods *pods, const char *namespace,
                           enum uninjected_reason from, enum uninjected_reason to)
{
	if (from == to)
		return;
	if (from != UNINJECTED_NOT)
		observer_metrics_add_uninjected(pods->metrics, namespace,
		                                uninjected_reason_name(from), -1);
	if (to != UNINJECTED_NOT)
		observer_metrics_add_uninjected(pods->metrics, namespace,
		                                uninjected_reason_name(to), 1);
}

/* ---- Events ---- */

static const char *message_of(enum uninjected_reason reason)
{
	switch (reason) {
	case UNINJECTED_CREATED_BEFORE:
		return "The agent pod is older than its namespace's label lastword.dev/inject and "
		       "has no watchdog. Its terminations are recorded from outside; a new pod is "
		       "injected.";
	case UNINJECTED_LABEL_REMOVED:
		return "The agent pod has a watchdog, but its label lastword.dev/injected is gone.";
	case UNINJECTED_MIRROR_POD:
		return "The agent pod is a static pod, which cannot be injected. Its terminations "
		       "are recorded from outside.";
	default:
		return "The agent pod has no watchdog though a rule matches it: the webhook was "
		       "not asked, did not answer, or left it alone (its log says which). Its "
		       "terminations are recorded from outside.";
	}
}

/* Never 0. */
static uint64_t hash_of(const char *uid)
{
	return hash_text(uid) | 1;
}

static void send(struct uninjected_pods *pods, const struct termination *facts, const char *uid,
                 enum event_target target, enum uninjected_reason reason)
{
	char name[EVENT_NAME_SIZE];
	struct buffer body;
	const struct event_text text = {.reason = "AgentPodNotInjected",
	                                .message = message_of(reason)};
	snprintf(name, sizeof name, "lastword.%.64s.not-injected", uid);
	buffer_init(&body, BODY_MAX);
	event_write(facts, target, name, &text, pods->loop->wall, &body);
	event_post(pods->loop, facts->namespace, &body, NULL, NULL);
}

bool uninjected_pods_send_event(struct uninjected_pods *pods, const struct termination *facts,
                                enum uninjected_reason reason)
{
	bool owned = facts->owner_uid != NULL && facts->owner_uid[0] != '\0';
	const char *uid = owned ? facts->owner_uid : facts->uid;
	uint64_t hash = hash_of(uid);
	uint64_t *place = &pods->owners[hash % UNINJECTED_OWNERS];
	int64_t now = pods->loop->now;
	if (*place == hash)
		return true;
	if (pods->paid_until > now + (UNINJECTED_EVENTS_BURST - 1) * SECOND)
		return false;
	pods->paid_until = (pods->paid_until > now ? pods->paid_until : now) + SECOND;
	*place = hash;
	send(pods, facts, uid, owned ? EVENT_OWNER : EVENT_POD, reason);
	return true;
}
