#include "observer/receiver/receivers.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/glob.h"
#include "observer/receiver/alert_refresh.h"
#include "observer/receiver/sending.h"

#define TICK           (5 * SECOND)
#define STALE_AFTER    (60 * SECOND) /* no response is older */
#define REREAD_AT_MOST (30 * SECOND) /* so often at most */

/* ---- What is due ---- */

static bool matches(const struct receiver_settings *settings, const char *namespace,
                    const char *cause)
{
	const struct receiver_filter *filter = &settings->filter;
	bool matched = filter->causes.count == 0;
	if (filter->namespaces.count > 0 &&
	    !glob_match_any(filter->namespaces.items, filter->namespaces.count, namespace))
		return false;
	for (size_t i = 0; i < filter->causes.count && !matched; i++)
		matched = cause != NULL && strcmp(filter->causes.items[i], cause) == 0;
	return matched;
}

size_t receivers_list_pending(const struct receivers *receivers, const char *namespace,
                              const char *cause, struct agent_exit_notification *ret_entries)
{
	size_t count = 0;
	for (size_t i = 0; receivers->config != NULL && i < receivers->config->receiver_count;
	     i++) {
		const struct receiver_settings *settings = &receivers->config->receivers[i];
		if (settings->filter.silent_only || !matches(settings, namespace, cause))
			continue;
		ret_entries[count++] = (struct agent_exit_notification){
		        .receiver = settings->name,
		        .state = AGENT_EXIT_NOTIFICATION_PENDING,
		        .time = AGENT_EXIT_UNKNOWN,
		        .attempts = AGENT_EXIT_UNKNOWN,
		};
	}
	return count;
}

static bool is_recent(const struct receivers *receivers, int64_t time)
{
	return time != AGENT_EXIT_UNKNOWN && receivers->loop->wall - time < RECEIVER_AGE_MAX;
}

/* state: of the entry; NULL: there is none. */
static bool is_due(const struct receivers *receivers, const struct agent_exit *exit,
                   const struct receiver_settings *settings, const char *state)
{
	bool pending = state != NULL && strcmp(state, AGENT_EXIT_NOTIFICATION_PENDING) == 0;
	const struct agent_exit_condition *silent =
	        agent_exit_find_condition(exit, AGENT_EXIT_SILENT);
	if (!matches(settings, exit->namespace, exit->error_type))
		return false;
	if (settings->filter.silent_only)
		return silent != NULL &&
		       (pending || (state == NULL && strcmp(silent->status, "True") == 0 &&
		                    is_recent(receivers, silent->last_transition_time)));
	return pending;
}

static bool is_resolve_due(const struct receivers *receivers, const struct agent_exit *exit,
                           const struct receiver_settings *settings, const char *state)
{
	return settings->filter.resolved && state != NULL &&
	       strcmp(state, AGENT_EXIT_NOTIFICATION_DELIVERED) == 0 &&
	       is_recent(receivers, notice_over_at(exit, settings->filter.silent_only));
}

/* ---- Offers ---- */

static const char *state_of(const struct tracked_record *record, const struct agent_exit *exit,
                            const struct receiver *receiver)
{
	const struct agent_exit_notification *entry =
	        agent_exit_find_notification(exit, receiver->settings->name);
	if (record != NULL && record->entries[receiver->number].state != NULL)
		return record->entries[receiver->number].state;
	return entry == NULL ? NULL : entry->state;
}

static bool wants(const struct receivers *receivers, const struct receiver *receiver,
                  const struct tracked_record *record, const struct agent_exit *exit,
                  int64_t stale_since, bool *ret_resolved)
{
	const char *state = state_of(record, exit, receiver);
	if (record != NULL && record->entries[receiver->number].waiting)
		return false;
	*ret_resolved = is_resolve_due(receivers, exit, receiver->settings, state);
	if (*ret_resolved)
		return true;
	return is_due(receivers, exit, receiver->settings, state) &&
	       !tracked_records_finished_since(&receivers->records, exit->namespace, exit->name,
	                                       receiver->number, stale_since);
}

static void evaluate(struct receivers *receivers, struct tracked_record *record,
                     const struct agent_exit *exit, int64_t stale_since)
{
	for (size_t i = 0; i < receivers->count; i++) {
		struct receiver *receiver = &receivers->list[i];
		const struct agent_exit_notification *entry =
		        agent_exit_find_notification(exit, receiver->settings->name);
		bool resolved;
		alert_refresh_update(receiver, exit, state_of(record, exit, receiver));
		if (!wants(receivers, receiver, record, exit, stale_since, &resolved) ||
		    !sending_add(receiver, record, exit, resolved))
			continue;
		/* Should this replica stop now, the record says that something is due. */
		if (entry == NULL && record->entries[i].state == NULL)
			tracked_record_change(record);
	}
}

void receivers_offer(struct receivers *receivers, const struct agent_exit *exit, bool found)
{
	int64_t stale_since = found ? receivers->read_at : receivers->loop->now - STALE_AFTER;
	bool any = false;
	bool resolved;
	if (!receivers->leader || receivers->stopping || receivers->count == 0 ||
	    receivers->next != NULL || exit->name == NULL || exit->namespace == NULL)
		return;
	struct tracked_record *record =
	        tracked_record_find(&receivers->records, exit->namespace, exit->name);
	for (size_t i = 0; i < receivers->count && !any; i++)
		any = wants(receivers, &receivers->list[i], record, exit, stale_since, &resolved);
	for (size_t i = 0; i < receivers->count && !any; i++)
		alert_refresh_update(&receivers->list[i], exit,
		                     state_of(record, exit, &receivers->list[i]));
	/* A list may be older than what is tracked; what comes with a response is not. */
	if (!any && (record == NULL || found))
		return;
	if (record == NULL || !found)
		record = tracked_record_set(&receivers->records, exit);
	if (record == NULL)
		return;
	evaluate(receivers, record, exit, stale_since);
	tracked_record_release_unused(record);
}

static void evaluate_again(struct receivers *receivers, struct tracked_record *record)
{
	struct agent_exit exit;
	struct arena *_cleanup_arena_ arena = arena_new(0);
	if (receivers->leader && !receivers->stopping && receivers->next == NULL && arena != NULL &&
	    tracked_record_read(record, arena, &exit))
		evaluate(receivers, record, &exit, receivers->loop->now);
}

/* ---- The configuration ---- */

static void drop_all(struct receivers *receivers)
{
	for (size_t i = 0; i < receivers->count; i++)
		sending_clear(&receivers->list[i]);
	tracked_records_clear(&receivers->records);
}

static void free_list(struct receivers *receivers)
{
	drop_all(receivers);
	for (size_t i = 0; i < receivers->count; i++) {
		observer_metrics_forget_receiver(receivers->metrics,
		                                 receivers->list[i].settings->name);
		free(receivers->list[i].storm);
	}
	free(receivers->list);
	receivers->list = NULL;
	receivers->count = 0;
	receivers->records.config = NULL;
	receiver_config_free(receivers->config);
	receivers->config = NULL;
}

static bool make_list(struct receivers *receivers, struct receiver_config *config)
{
	struct receiver *list = calloc(config->receiver_count + 1, sizeof *list);
	if (list == NULL)
		return false;
	bool good = true;
	for (size_t i = 0; i < config->receiver_count; i++)
		good = sending_init(&list[i], receivers, &config->receivers[i], i) && good;
	if (!good) {
		for (size_t i = 0; i < config->receiver_count; i++)
			free(list[i].storm);
		free(list);
		return false;
	}
	receivers->list = list;
	receivers->count = config->receiver_count;
	receivers->config = config;
	receivers->records.config = config;
	return true;
}

static void request_records(struct receivers *receivers)
{
	for (size_t i = 0; i < receivers->count; i++)
		receivers->list[i].behind = false;
	receivers->read_at = receivers->loop->now;
	receivers->reread(receivers->context);
}

static bool is_quiet(const struct receivers *receivers)
{
	for (size_t i = 0; i < receivers->count; i++)
		if (receivers->list[i].in_flight > 0)
			return false;
	return receivers->records.changed == 0;
}

/* The new configuration takes the old one's place as soon as it may. */
static void use_next(struct receivers *receivers)
{
	struct receiver_config *next = receivers->next;
	if (next == NULL || !is_quiet(receivers))
		return;
	free_list(receivers);
	receivers->next = NULL;
	if (!make_list(receivers, next)) {
		receiver_config_free(next);
		log_message(LOG_ERROR, "no memory for receivers", NULL);
		return;
	}
	log_message(LOG_INFO, "receivers in force", "file", receivers->file.path, "config",
	            next->hash, NULL);
	if (receivers->leader)
		request_records(receivers);
}

void receivers_reload(struct receivers *receivers)
{
	struct receiver_config *config;
	struct error error;
	if (receivers->file.path != NULL && watched_file_changed(&receivers->file)) {
		bool good = receiver_config_load(receivers->file.path, &config, &error);
		observer_metrics_count_reload(receivers->metrics, good);
		if (good) {
			receiver_config_free(receivers->next);
			receivers->next = config;
			tracked_records_flush(&receivers->records);
		} else {
			log_message(LOG_ERROR,
			            receivers->config == NULL
			                    ? "no receivers: the configuration is refused"
			                    : "the new configuration of receivers is refused, the "
			                      "last good one stays",
			            "error", error.message, NULL);
		}
	}
	use_next(receivers);
}

/* ---- All receivers ---- */

static void tick(void *context)
{
	struct receivers *receivers = context;
	struct event_loop *loop = receivers->loop;
	bool behind = false;
	for (size_t i = 0; i < receivers->count; i++) {
		const struct receiver *receiver = &receivers->list[i];
		behind = behind || (receiver->behind && receiver->failures == 0 &&
		                    sending_bytes(receiver) < RECEIVER_BYTES_MAX / 2);
	}
	if (behind && receivers->leader && loop->now - receivers->read_at >= REREAD_AT_MOST)
		request_records(receivers);
	event_loop_set_timer(loop, &receivers->tick, loop->now + TICK);
}

bool receivers_init(struct receivers *receivers, struct event_loop *loop,
                    struct observer_metrics *metrics, const char *path,
                    void (*reread)(void *context), void *context)
{
	*receivers = (struct receivers){
	        .loop = loop,
	        .metrics = metrics,
	        .file = {.path = path},
	        .evaluate = evaluate_again,
	        .reread = reread,
	        .context = context,
	        .tick = {.fire = tick, .context = receivers},
	};
	if (path == NULL)
		return true;
	if (!tracked_records_init(&receivers->records, loop) ||
	    !event_loop_set_timer(loop, &receivers->tick, loop->now + TICK))
		return false;
	receivers_reload(receivers);
	return true;
}

void receivers_free(struct receivers *receivers)
{
	if (receivers->loop == NULL)
		return;
	free_list(receivers);
	receiver_config_free(receivers->next);
	tracked_records_free(&receivers->records);
	event_loop_clear_timer(receivers->loop, &receivers->tick);
	*receivers = (struct receivers){.loop = NULL};
}

void receivers_measure(struct receivers *receivers)
{
	sending_measure(receivers);
}

void receivers_set_leader(struct receivers *receivers, bool leader)
{
	receivers->leader = leader;
	/* The other leader delivers what is pending; what is in flight is completed, and written
	 * down. A new leader is offered all records. */
	for (size_t i = 0; i < receivers->count; i++)
		sending_drop_waiting(&receivers->list[i]);
	if (receivers->records.loop != NULL) {
		if (!leader)
			tracked_records_forget_postponed(&receivers->records);
		tracked_records_flush(&receivers->records);
	}
	receivers->read_at = receivers->loop->now;
}

void receivers_stop(struct receivers *receivers)
{
	receivers->stopping = true;
	if (receivers->records.loop != NULL)
		tracked_records_flush(&receivers->records);
}

bool receivers_are_drained(const struct receivers *receivers)
{
	return is_quiet(receivers);
}
