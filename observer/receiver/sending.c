#include "observer/receiver/sending.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observer/receiver/alert_refresh.h"
#include "observer/receiver/backoff.h"
#include "observer/receiver/payload.h"
#include "observer/receiver/receiver_request.h"

/* A request in flight. */
struct sending {
	struct sending *next;
	struct receiver *receiver;
	struct receiver_delivery *list;
	struct request *request;
};

static void send_more(struct receiver *receiver);

/* ---- Deliveries ---- */

static void delivery_free(struct receiver_delivery *delivery)
{
	struct tracked_record *record = delivery->record;
	record->entries[delivery->receiver].waiting = false;
	free(delivery);
	tracked_record_release(record);
}

/* With what they cover; a covered one covers none. */
static void list_free(struct receiver_delivery *list)
{
	while (list != NULL) {
		struct receiver_delivery *next = list->next;
		while (list->covered != NULL) {
			struct receiver_delivery *covered = list->covered;
			list->covered = covered->next;
			delivery_free(covered);
		}
		delivery_free(list);
		list = next;
	}
}

static void finish(struct receiver *receiver, struct receiver_delivery *delivery, const char *state,
                   const char *message)
{
	struct tracked_record *record = delivery->record;
	const char *result = strcmp(state, AGENT_EXIT_NOTIFICATION_FAILED) == 0     ? "failed"
	                     : strcmp(state, AGENT_EXIT_NOTIFICATION_GROUPED) == 0  ? "grouped"
	                     : strcmp(state, AGENT_EXIT_NOTIFICATION_RESOLVED) == 0 ? "resolved"
	                                                                            : "delivered";
	observer_metrics_count_notification(receiver->receivers->metrics, receiver->settings->name,
	                                    result);
	if (strcmp(result, "failed") == 0)
		observer_metrics_count_dropped(receiver->receivers->metrics,
		                               receiver->settings->name, 1);
	tracked_record_finish(record, receiver->number, state, message);
	record->users++;
	delivery_free(delivery);
	receiver->receivers->evaluate(receiver->receivers, record);
	tracked_record_release(record);
}

/* A delivery with what it covers. */
static void finish_with_covered(struct receiver *receiver, struct receiver_delivery *delivery,
                                const char *state, const char *message)
{
	struct receiver_delivery *covered = delivery->covered;
	bool failed = strcmp(state, AGENT_EXIT_NOTIFICATION_FAILED) == 0;
	delivery->covered = NULL;
	finish(receiver, delivery, state, message);
	while (covered != NULL) {
		struct receiver_delivery *next = covered->next;
		finish(receiver, covered, failed ? state : AGENT_EXIT_NOTIFICATION_GROUPED,
		       message);
		covered = next;
	}
}

size_t sending_bytes(const struct receiver *receiver)
{
	return receiver->queue.bytes + receiver->held_bytes;
}

/* ---- Storms ---- */

static void hold(struct receiver *receiver, struct receiver_delivery *delivery)
{
	struct event_loop *loop = receiver->receivers->loop;
	int64_t due = storm_allows_at(receiver->storm, &delivery->keys, delivery->held_by);
	delivery->next = receiver->held;
	receiver->held = delivery;
	receiver->held_bytes += delivery->bytes;
	if (receiver->digest.index == 0 || due < receiver->digest.due)
		event_loop_set_timer(loop, &receiver->digest, due);
}

/* The held deliveries of that key: the newest one, which stands for the others. */
static struct receiver_delivery *take_group(struct receiver *receiver, uint64_t key)
{
	struct receiver_delivery *head = NULL;
	struct receiver_delivery **link = &receiver->held;
	while (*link != NULL) {
		struct receiver_delivery *delivery = *link;
		if (delivery->held_by != key) {
			link = &delivery->next;
			continue;
		}
		*link = delivery->next;
		receiver->held_bytes -= delivery->bytes;
		delivery->held_by = 0;
		delivery->next = NULL;
		if (head == NULL) {
			head = delivery;
			continue;
		}
		delivery->next = head->covered;
		head->covered = delivery;
		head->covered_count++;
	}
	return head;
}

/* The first key whose credit allows a digest now; 0: none, and *ret_due is when the next one may.
 */
static uint64_t find_allowed(const struct receiver *receiver, int64_t now, int64_t *ret_due)
{
	for (const struct receiver_delivery *d = receiver->held; d != NULL; d = d->next) {
		int64_t due = storm_allows_at(receiver->storm, &d->keys, d->held_by);
		if (due <= now)
			return d->held_by;
		*ret_due = due < *ret_due ? due : *ret_due;
	}
	return 0;
}

static void send_digests(void *context)
{
	struct receiver *receiver = context;
	struct event_loop *loop = receiver->receivers->loop;
	int64_t due = INT64_MAX;
	uint64_t key;
	while ((key = find_allowed(receiver, loop->now, &due)) != 0) {
		struct receiver_delivery *digest = take_group(receiver, key);
		storm_charge_digest(receiver->storm, &digest->keys, loop->now);
		if (!receiver_queue_push(&receiver->queue, digest->record->namespace, digest,
		                         false)) {
			list_free(digest);
			receiver->behind = true;
		}
		due = INT64_MAX;
	}
	if (due != INT64_MAX)
		event_loop_set_timer(loop, &receiver->digest, due);
	send_more(receiver);
}

/* ---- Adding ---- */

/* Makes room for `bytes` more, if need be by displacing deliveries of another namespace. */
static bool make_room(struct receiver *receiver, const char *namespace, size_t bytes)
{
	while (sending_bytes(receiver) + bytes > RECEIVER_BYTES_MAX) {
		struct receiver_delivery *displaced =
		        receiver_queue_displace(&receiver->queue, namespace, bytes);
		receiver->behind = true;
		if (displaced == NULL)
			return false;
		list_free(displaced);
	}
	return true;
}

bool sending_add(struct receiver *receiver, struct tracked_record *record,
                 const struct agent_exit *exit, bool resolved)
{
	size_t bytes =
	        sizeof(struct receiver_delivery) + sizeof(struct tracked_record) + record->length;
	struct receiver_delivery *delivery = NULL;
	if (make_room(receiver, record->namespace, bytes))
		delivery = calloc(1, sizeof *delivery);
	if (delivery == NULL) {
		receiver->behind = true;
		return false;
	}
	*delivery = (struct receiver_delivery){
	        .record = record,
	        .receiver = receiver->number,
	        .bytes = bytes,
	        .resolved = resolved,
	        .keys = storm_keys_of(exit),
	};
	record->users++;
	record->entries[receiver->number].waiting = true;
	if (receiver->storm != NULL && !resolved)
		delivery->held_by = storm_charge(receiver->storm, &delivery->keys,
		                                 receiver->receivers->loop->now);
	if (delivery->held_by != 0) {
		hold(receiver, delivery);
		return true;
	}
	if (!receiver_queue_push(&receiver->queue, record->namespace, delivery, false)) {
		receiver->behind = true;
		record->users--;
		record->entries[receiver->number].waiting = false;
		free(delivery);
		return false;
	}
	send_more(receiver);
	return true;
}

/* ---- Responses ---- */

static void log_failing(struct receiver *receiver, const char *message, const char *problem)
{
	uint64_t dropped;
	static const struct log_rate rate = {.each_second = 1, .burst = 3};
	if (log_limit_pass_at(&receiver->log, &rate, receiver->receivers->loop->now, &dropped))
		log_message(LOG_WARNING, message, "receiver", receiver->settings->name, "type",
		            receiver->settings->type_name, "error", problem, NULL);
}

static void set_working(struct receiver *receiver)
{
	if (receiver->failing_since != 0)
		log_message(LOG_INFO, "a receiver accepts notifications again", "receiver",
		            receiver->settings->name, NULL);
	receiver->failures = 0;
	receiver->failing_since = 0;
}

static void set_failing(struct receiver *receiver, const char *problem, int64_t retry_after)
{
	struct event_loop *loop = receiver->receivers->loop;
	if (receiver->failing_since == 0) {
		receiver->failing_since = loop->now;
		log_failing(receiver, "a receiver cannot be notified, trying again", problem);
	}
	/* Requests that were in flight together fail together, which counts once. */
	receiver->failures += receiver->retry.index == 0;
	int64_t delay = backoff_delay(receiver->failures, retry_after, event_loop_random(loop));
	/* Several requests may fail at a time: the longest wait counts. */
	if (receiver->retry.index == 0 || receiver->retry.due < loop->now + delay)
		event_loop_set_timer(loop, &receiver->retry, loop->now + delay);
	observer_metrics_count_notification(receiver->receivers->metrics, receiver->settings->name,
	                                    "retried");
}

/* What waited when this replica led is the other leader's now. */
static void requeue(struct receiver *receiver, struct receiver_delivery *list)
{
	if (!receiver->receivers->leader) {
		list_free(list);
		return;
	}
	while (list != NULL) {
		struct receiver_delivery *next = list->next;
		if (!receiver_queue_push(&receiver->queue, list->record->namespace, list, false)) {
			list->next = NULL;
			list_free(list);
			receiver->behind = true;
		}
		list = next;
	}
}

static void accepted(struct receiver *receiver, struct receiver_delivery *list)
{
	set_working(receiver);
	observer_metrics_set_receiver_success(receiver->receivers->metrics,
	                                      receiver->settings->name,
	                                      receiver->receivers->loop->wall);
	while (list != NULL) {
		struct receiver_delivery *next = list->next;
		finish_with_covered(receiver, list,
		                    list->resolved ? AGENT_EXIT_NOTIFICATION_RESOLVED
		                                   : AGENT_EXIT_NOTIFICATION_DELIVERED,
		                    NULL);
		list = next;
	}
}

/* Which one of several the receiver dislikes shows when each is sent alone. */
static void refused(struct receiver *receiver, struct receiver_delivery *list, const char *problem)
{
	set_working(receiver);
	log_failing(receiver, "a receiver refuses a notification", problem);
	if (list == NULL)
		return;
	if (list->next == NULL) {
		finish_with_covered(receiver, list, AGENT_EXIT_NOTIFICATION_FAILED, problem);
		return;
	}
	for (struct receiver_delivery *d = list; d != NULL; d = d->next)
		d->alone = true;
	requeue(receiver, list);
}

static void take_out(struct sending *sending)
{
	struct receiver *receiver = sending->receiver;
	struct sending **link = &receiver->first;
	while (*link != sending)
		link = &(*link)->next;
	*link = sending->next;
	receiver->in_flight--;
}

static void responded(void *context, struct kube_response *response, const struct error *error)
{
	struct sending *sending = context;
	struct receiver *receiver = sending->receiver;
	struct receiver_delivery *list = sending->list;
	for (struct receiver_delivery *d = list; d != NULL; d = d->next)
		d->record->entries[d->receiver].attempts++;
	take_out(sending);
	free(sending);
	switch (backoff_outcome(response->status, response->retry_after)) {
	case OUTCOME_ACCEPTED:
		accepted(receiver, list);
		break;
	case OUTCOME_REFUSED:
		refused(receiver, list, error == NULL ? "" : error->message);
		break;
	default:
		set_failing(receiver, error == NULL ? "" : error->message, response->retry_after);
		if (receiver->receivers->leader && list != NULL)
			tracked_record_postpone(list->record, receiver->number,
			                        error == NULL ? "no response" : error->message);
		requeue(receiver, list);
	}
	send_more(receiver);
}

/* ---- Requests ---- */

static void requeue_first(struct receiver *receiver, struct receiver_delivery *delivery)
{
	if (receiver_queue_push(&receiver->queue, delivery->record->namespace, delivery, true))
		return;
	list_free(delivery);
	receiver->behind = true;
}

/* Takes deliveries for one request out of the queue; what is too old is given up. */
static struct receiver_delivery *take_batch(struct receiver *receiver, size_t *ret_count)
{
	size_t most = payload_batch(receiver->settings->type);
	struct receiver_delivery *first = NULL;
	struct receiver_delivery *last = NULL;
	size_t bytes = 0;
	*ret_count = 0;
	while (*ret_count < most && bytes < RECEIVER_BATCH_MAX) {
		struct receiver_delivery *delivery = receiver_queue_pop(&receiver->queue);
		if (delivery == NULL)
			break;
		if (delivery->alone && first != NULL) {
			requeue_first(receiver, delivery);
			break;
		}
		if (last != NULL)
			last->next = delivery;
		else
			first = delivery;
		last = delivery;
		bytes += delivery->bytes;
		++*ret_count;
		if (delivery->alone)
			break;
	}
	return first;
}

/* The notices of a batch, which belong to the arena; false: no memory. */
static bool make_notices(const struct receiver *receiver, const struct receiver_delivery *list,
                         size_t count, const struct receiver_parameters *parameters,
                         struct arena *arena, struct notice **ret_notices)
{
	struct notice *notices = arena_allocate(arena, count * sizeof *notices);
	struct agent_exit *exits = arena_allocate(arena, count * sizeof *exits);
	if (notices == NULL || exits == NULL)
		return false;
	for (size_t i = 0; i < count; i++, list = list->next) {
		if (!tracked_record_read(list->record, arena, &exits[i]))
			return false;
		notices[i] = (struct notice){
		        .exit = &exits[i],
		        .settings = receiver->settings,
		        .parameters = (const char *const *)parameters->values,
		        .resolved =
		                list->resolved && !alert_refresh_has_others(receiver, &exits[i]),
		        .similar = list->covered_count,
		};
	}
	*ret_notices = notices;
	return true;
}

static bool make_request(const struct receiver *receiver, const struct receiver_delivery *list,
                         size_t count, struct request *ret_request, struct error *error)
{
	struct receiver_parameters parameters;
	struct notice *notices = NULL;
	struct arena *_cleanup_arena_ arena = arena_new((size_t)64 * 1024 * 1024);
	if (arena == NULL)
		return error_set(error, "out of memory");
	if (!receiver_parameters_read(receiver->settings, &parameters, error))
		return false;
	bool good = make_notices(receiver, list, count, &parameters, arena, &notices) ||
	            error_set(error, "out of memory");
	good = good && receiver_request_make(receiver->settings, notices, count,
	                                     receiver->receivers->loop->wall, ret_request, error);
	receiver_parameters_free(&parameters);
	return good;
}

static bool send_batch(struct receiver *receiver, struct receiver_delivery *list, size_t count,
                       struct error *error)
{
	struct request request;
	struct sending *sending = calloc(1, sizeof *sending);
	if (sending == NULL || !make_request(receiver, list, count, &request, error)) {
		if (sending == NULL)
			error_set(error, "out of memory");
		free(sending);
		return false;
	}
	*sending = (struct sending){.receiver = receiver, .list = list};
	request.finish = responded;
	request.context = sending;
	sending->request = event_loop_add_request(receiver->receivers->loop, &request);
	if (sending->request == NULL) {
		free(sending);
		return error_set(error, "out of memory");
	}
	sending->next = receiver->first;
	receiver->first = sending;
	receiver->in_flight++;
	return true;
}

/* What is too old for anybody to need it. */
static struct receiver_delivery *give_up_old(struct receiver *receiver,
                                             struct receiver_delivery *list, size_t *count)
{
	int64_t wall = receiver->receivers->loop->wall;
	struct receiver_delivery **link = &list;
	while (*link != NULL) {
		struct receiver_delivery *delivery = *link;
		int64_t at = delivery->record->created_at;
		if (delivery->resolved || at == AGENT_EXIT_UNKNOWN ||
		    wall - at < RECEIVER_AGE_MAX) {
			link = &delivery->next;
			continue;
		}
		*link = delivery->next;
		delivery->next = NULL;
		--*count;
		finish_with_covered(receiver, delivery, AGENT_EXIT_NOTIFICATION_FAILED, "too old");
	}
	return list;
}

/* How many requests at a time. Several records are one alert to Alertmanager, for which what came
 * last is true: a request that overtakes the resolution would open the alert again. */
static unsigned most_in_flight(const struct receiver *receiver)
{
	return receiver->failures > 0 || receiver->settings->type == RECEIVER_ALERTMANAGER
	               ? 1
	               : RECEIVER_IN_FLIGHT;
}

static void send_more(struct receiver *receiver)
{
	struct receivers *receivers = receiver->receivers;
	struct error error;
	unsigned most = most_in_flight(receiver);
	while (receiver->in_flight < most && receiver->retry.index == 0 &&
	       receiver->refresh == NULL && !receivers->stopping && receivers->next == NULL &&
	       receiver->queue.count > 0) {
		size_t count;
		struct receiver_delivery *list = take_batch(receiver, &count);
		list = give_up_old(receiver, list, &count);
		if (list == NULL || send_batch(receiver, list, count, &error))
			continue;
		set_failing(receiver, error.message, -1);
		requeue(receiver, list);
	}
}

static void try_again(void *context)
{
	send_more(context);
}

/* ---- The receiver ---- */

bool sending_init(struct receiver *receiver, struct receivers *receivers,
                  const struct receiver_settings *settings, size_t number)
{
	*receiver = (struct receiver){
	        .receivers = receivers,
	        .settings = settings,
	        .number = number,
	        .digest = {.fire = send_digests, .context = receiver},
	        .retry = {.fire = try_again, .context = receiver},
	};
	alert_refresh_init(receiver);
	/* People read what comes by a webhook; the others are made for numbers. */
	if (settings->type != RECEIVER_WEBHOOK)
		return true;
	receiver->storm = calloc(1, sizeof *receiver->storm);
	return receiver->storm != NULL;
}

void sending_drop_waiting(struct receiver *receiver)
{
	struct event_loop *loop = receiver->receivers->loop;
	struct receiver_delivery *delivery;
	while ((delivery = receiver_queue_pop(&receiver->queue)) != NULL)
		list_free(delivery);
	list_free(receiver->held);
	receiver->held = NULL;
	receiver->held_bytes = 0;
	receiver->failures = 0;
	receiver->failing_since = 0;
	event_loop_clear_timer(loop, &receiver->digest);
	event_loop_clear_timer(loop, &receiver->retry);
	alert_refresh_clear(receiver);
}

void sending_clear(struct receiver *receiver)
{
	struct event_loop *loop = receiver->receivers->loop;
	while (receiver->first != NULL) {
		struct sending *sending = receiver->first;
		receiver->first = sending->next;
		event_loop_cancel_request(loop, sending->request);
		list_free(sending->list);
		free(sending);
	}
	receiver->in_flight = 0;
	sending_drop_waiting(receiver);
}

void sending_measure(struct receivers *receivers)
{
	for (size_t i = 0; i < receivers->count; i++)
		observer_metrics_set_receiver_bytes(receivers->metrics,
		                                    receivers->list[i].settings->name,
		                                    sending_bytes(&receivers->list[i]));
}
