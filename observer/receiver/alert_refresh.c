#include "observer/receiver/alert_refresh.h"

#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/hash.h"
#include "observer/receiver/backoff.h"
#include "observer/receiver/notice.h"
#include "observer/receiver/payload.h"
#include "observer/receiver/receiver_request.h"

static void send_batch(void *context);

static struct notice notice_of(const struct receiver *receiver, const struct agent_exit *exit)
{
	return (struct notice){.exit = exit, .settings = receiver->settings};
}

/* Not 0. */
static uint64_t number_of(const struct agent_exit *exit)
{
	uint64_t hash = hash_add(HASH_START, exit->namespace, strlen(exit->namespace) + 1);
	return hash_add(hash, exit->name, strlen(exit->name)) | 1;
}

static bool is_alertmanager(const struct receiver *receiver)
{
	return receiver->settings->type == RECEIVER_ALERTMANAGER;
}

static void schedule(struct receiver *receiver, int64_t delay)
{
	struct event_loop *loop = receiver->receivers->loop;
	event_loop_set_timer(loop, &receiver->refresh_timer, loop->now + delay);
}

void alert_refresh_init(struct receiver *receiver)
{
	receiver->refresh_timer = (struct timer){.fire = send_batch, .context = receiver};
}

void alert_refresh_clear(struct receiver *receiver)
{
	event_loop_cancel_request(receiver->receivers->loop, receiver->refresh);
	event_loop_clear_timer(receiver->receivers->loop, &receiver->refresh_timer);
	receiver->refresh = NULL;
	receiver->refresh_from = 0;
	open_alerts_free(&receiver->alerts);
}

void alert_refresh_update(struct receiver *receiver, const struct agent_exit *exit,
                          const char *state)
{
	const struct receiver_settings *settings = receiver->settings;
	if (!is_alertmanager(receiver) || state == NULL || exit->name == NULL)
		return;
	const struct notice notice = notice_of(receiver, exit);
	int64_t until = notice_time(exit) == AGENT_EXIT_UNKNOWN
	                        ? 0
	                        : notice_time(exit) + settings->resolve_after;
	/* What is over is not sent again, whether its resolution is delivered yet or not. */
	if (notice_over_at(exit, settings->filter.silent_only) != AGENT_EXIT_UNKNOWN) {
		open_alerts_clear(&receiver->alerts, &notice, number_of(exit));
		return;
	}
	if (strcmp(state, AGENT_EXIT_NOTIFICATION_DELIVERED) != 0 ||
	    until <= receiver->receivers->loop->wall)
		return;
	open_alerts_set(&receiver->alerts, &notice, number_of(exit), until);
	if (receiver->refresh_timer.index == 0 && receiver->refresh == NULL)
		schedule(receiver, ALERT_REFRESH_INTERVAL);
}

bool alert_refresh_has_others(const struct receiver *receiver, const struct agent_exit *exit)
{
	const struct notice notice = notice_of(receiver, exit);
	return is_alertmanager(receiver) &&
	       open_alerts_has_others(&receiver->alerts, &notice, number_of(exit));
}

/* All were sent, or the receiver is in trouble: until the next time. Deliveries waited meanwhile:
 * the alert that is sent again here must not overtake its resolution. */
static void end(struct receiver *receiver)
{
	struct event_loop *loop = receiver->receivers->loop;
	receiver->refresh_from = 0;
	if (receiver->retry.index == 0)
		event_loop_set_timer(loop, &receiver->retry, loop->now);
	open_alerts_forget_expired(&receiver->alerts, loop->wall);
	if (receiver->alerts.count > 0)
		schedule(receiver, ALERT_REFRESH_INTERVAL);
}

static void responded(void *context, struct kube_response *response, const struct error *error)
{
	struct receiver *receiver = context;
	(void)error;
	receiver->refresh = NULL;
	if (backoff_outcome(response->status, response->retry_after) == OUTCOME_ACCEPTED &&
	    receiver->refresh_from < receiver->alerts.count)
		send_batch(receiver);
	else
		end(receiver);
}

static void send_batch(void *context)
{
	struct receiver *receiver = context;
	struct receivers *receivers = receiver->receivers;
	struct buffer body;
	struct request request;
	struct error error;
	if (receiver->alerts.count == 0 || receivers->stopping || receiver->refresh != NULL)
		return;
	if (receiver->failures > 0) {
		end(receiver);
		return;
	}
	buffer_init(&body, PAYLOAD_MAX);
	receiver->refresh_from +=
	        open_alerts_write(&receiver->alerts, receiver->refresh_from, PAYLOAD_BATCH_MAX,
	                          receivers->loop->wall, &body);
	size_t length = body.length;
	if (receiver_request_with(receiver->settings, buffer_steal(&body), length, &request,
	                          &error)) {
		request.finish = responded;
		request.context = receiver;
		receiver->refresh = event_loop_add_request(receivers->loop, &request);
	}
	if (receiver->refresh == NULL)
		end(receiver);
}
