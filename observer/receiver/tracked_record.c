#include "observer/receiver/tracked_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/hash.h"
#include "observer/receiver/notice.h"
#include "observer/record/record_writer.h"

#define STATUS_MAX ((size_t)32 * 1024)

static void write_status(void *context);

static uint64_t hash_of(const char *namespace, const char *name)
{
	uint64_t hash = hash_add(HASH_START, namespace, strlen(namespace) + 1);
	return hash_add(hash, name, strlen(name));
}

/* ---- The table ---- */

bool tracked_records_init(struct tracked_records *records, struct event_loop *loop)
{
	*records = (struct tracked_records){.loop = loop};
	records->finished = calloc(FINISHED_MAX, sizeof *records->finished);
	return records->finished != NULL;
}

static struct tracked_record **bucket_of(const struct tracked_records *records, uint64_t hash)
{
	return (struct tracked_record **)(uintptr_t)&records
	        ->buckets[hash_place(hash, TRACKED_RECORD_BUCKETS)];
}

static void record_free(struct tracked_record *record)
{
	struct tracked_records *records = record->records;
	struct tracked_record **link = bucket_of(records, record->hash);
	while (*link != record)
		link = &(*link)->next;
	*link = record->next;
	records->count--;
	records->changed -= record->changed;
	event_loop_cancel_request(records->loop, record->request);
	event_loop_clear_timer(records->loop, &record->timer);
	free(record->text);
	free(record);
}

void tracked_records_clear(struct tracked_records *records)
{
	for (size_t i = 0; i < TRACKED_RECORD_BUCKETS; i++)
		while (records->buckets[i] != NULL)
			record_free(records->buckets[i]);
}

void tracked_records_free(struct tracked_records *records)
{
	if (records->loop == NULL)
		return;
	tracked_records_clear(records);
	free(records->finished);
	*records = (struct tracked_records){.loop = NULL};
}

struct tracked_record *tracked_record_find(const struct tracked_records *records,
                                           const char *namespace, const char *name)
{
	uint64_t hash = hash_of(namespace, name);
	struct tracked_record *record = *bucket_of(records, hash);
	while (record != NULL && (record->hash != hash || strcmp(record->name, name) != 0 ||
	                          strcmp(record->namespace, namespace) != 0))
		record = record->next;
	return record;
}

/* The record with its status, and without logTail, as the API server would give it. */
static char *text_of(const struct agent_exit *exit, size_t *ret_length)
{
	struct buffer _cleanup_buffer_ status;
	struct buffer text;
	struct agent_exit slim = *exit;
	slim.log_tail = NULL;
	slim.resource_version = NULL;
	buffer_init(&text, AGENT_EXIT_SIZE_MAX);
	buffer_init(&status, STATUS_MAX);
	agent_exit_write(&slim, &text);
	agent_exit_write_status(&slim, &status);
	if (!buffer_ok(&text) || !buffer_ok(&status) || text.length < 2 || status.length < 2) {
		buffer_free(&text);
		return NULL;
	}
	/* Two objects become one. */
	buffer_truncate(&text, text.length - 1);
	buffer_append_char(&text, ',');
	buffer_append(&text, status.data + 1, status.length - 1);
	*ret_length = text.length;
	char *bytes = buffer_steal(&text);
	char *fitted = bytes == NULL ? NULL : realloc(bytes, *ret_length + 1);
	return fitted == NULL ? bytes : fitted;
}

static struct tracked_record *add(struct tracked_records *records, const char *namespace,
                                  const char *name)
{
	struct tracked_record *record = calloc(1, sizeof *record);
	if (record == NULL)
		return NULL;
	record->records = records;
	record->hash = hash_of(namespace, name);
	record->timer = (struct timer){.fire = write_status, .context = record};
	snprintf(record->namespace, sizeof record->namespace, "%s", namespace);
	snprintf(record->name, sizeof record->name, "%s", name);
	struct tracked_record **bucket = bucket_of(records, record->hash);
	record->next = *bucket;
	*bucket = record;
	records->count++;
	return record;
}

struct tracked_record *tracked_record_set(struct tracked_records *records,
                                          const struct agent_exit *exit)
{
	size_t length = 0;
	char *text = text_of(exit, &length);
	struct tracked_record *record = tracked_record_find(records, exit->namespace, exit->name);
	if (record == NULL && text != NULL)
		record = add(records, exit->namespace, exit->name);
	if (record == NULL || text == NULL) {
		free(text);
		return NULL;
	}
	free(record->text);
	record->text = text;
	record->length = length;
	record->created_at = exit->created_at;
	return record;
}

bool tracked_record_read(const struct tracked_record *record, struct arena *arena,
                         struct agent_exit *ret_exit)
{
	json *object;
	if (json_parse(arena, record->text, record->length, 0, &object, NULL) == JSON_INVALID ||
	    !agent_exit_read(object, ret_exit, NULL))
		return false;
	ret_exit->name = record->name;
	ret_exit->namespace = record->namespace;
	ret_exit->created_at = record->created_at;
	return true;
}

void tracked_record_release_unused(struct tracked_record *record)
{
	if (record->users == 0 && !record->changed && record->request == NULL)
		record_free(record);
}

void tracked_record_release(struct tracked_record *record)
{
	record->users--;
	tracked_record_release_unused(record);
}

/* ---- What was delivered ---- */

static uint64_t delivery_hash(uint64_t record, size_t receiver)
{
	return hash_add(record, &receiver, sizeof receiver) | 1;
}

static struct finished_delivery *place_of(const struct tracked_records *records, uint64_t hash)
{
	return &records->finished[hash_place(hash, FINISHED_MAX)];
}

bool tracked_records_finished_since(const struct tracked_records *records, const char *namespace,
                                    const char *name, size_t receiver, int64_t since)
{
	uint64_t hash = delivery_hash(hash_of(namespace, name), receiver);
	const struct finished_delivery *finished = place_of(records, hash);
	return finished->hash == hash && finished->at >= since;
}

void tracked_record_finish(struct tracked_record *record, size_t receiver, const char *state,
                           const char *message)
{
	struct tracked_entry *entry = &record->entries[receiver];
	struct tracked_records *records = record->records;
	uint64_t hash = delivery_hash(record->hash, receiver);
	*place_of(records, hash) = (struct finished_delivery){hash, records->loop->now};
	entry->state = state;
	entry->at = records->loop->wall;
	snprintf(entry->message, sizeof entry->message, "%s", message == NULL ? "" : message);
	tracked_record_change(record);
}

/* ---- The status ---- */

static void schedule(struct tracked_record *record, int64_t delay)
{
	struct event_loop *loop = record->records->loop;
	event_loop_set_timer(loop, &record->timer, loop->now + delay);
}

void tracked_record_change(struct tracked_record *record)
{
	bool hurry = record->timer.index == 0 || record->postponed;
	record->records->changed += !record->changed;
	record->changed = true;
	record->postponed = false;
	if (record->request == NULL && hurry)
		schedule(record, TRACKED_RECORD_DELAY);
}

void tracked_record_postpone(struct tracked_record *record, size_t receiver, const char *message)
{
	struct tracked_entry *entry = &record->entries[receiver];
	char text[sizeof entry->message];
	snprintf(text, sizeof text, "%s", message);
	if (strcmp(text, entry->message) == 0)
		return;
	memcpy(entry->message, text, sizeof text);
	entry->at = record->records->loop->wall;
	if (record->changed)
		return;
	record->records->changed++;
	record->changed = record->postponed = true;
	if (record->request == NULL && record->timer.index == 0)
		schedule(record, TRACKED_RECORD_POSTPONED);
}

void tracked_records_flush(struct tracked_records *records)
{
	for (size_t i = 0; i < TRACKED_RECORD_BUCKETS; i++)
		for (struct tracked_record *r = records->buckets[i]; r != NULL; r = r->next)
			if (r->changed && r->request == NULL)
				schedule(r, 0);
}

static bool is_configured(const struct receiver_config *config, const char *receiver)
{
	for (size_t i = 0; i < config->receiver_count; i++)
		if (strcmp(config->receivers[i].name, receiver) == 0)
			return true;
	return strncmp(receiver, "event-", 6) == 0;
}

/* Where a new entry goes: at the end; in a full list in the place of a receiver that is not
 * configured any more. NULL: there is none. */
static struct agent_exit_notification *new_entry(struct agent_exit *exit,
                                                 const struct receiver_config *config)
{
	if (exit->notification_count < AGENT_EXIT_NOTIFICATIONS_MAX)
		return &exit->notifications[exit->notification_count++];
	for (size_t i = 0; i < exit->notification_count; i++)
		if (!is_configured(config, exit->notifications[i].receiver))
			return &exit->notifications[i];
	return NULL;
}

/* The stored entry of that receiver, or a new one; NULL: there is no room. */
static struct agent_exit_notification *
entry_of(struct agent_exit *exit, const struct receiver_config *config, const char *receiver)
{
	for (size_t i = 0; i < exit->notification_count; i++)
		if (strcmp(exit->notifications[i].receiver, receiver) == 0)
			return &exit->notifications[i];
	struct agent_exit_notification *entry = new_entry(exit, config);
	if (entry == NULL)
		return NULL;
	*entry = (struct agent_exit_notification){
	        .receiver = receiver, .time = AGENT_EXIT_UNKNOWN, .attempts = AGENT_EXIT_UNKNOWN};
	return entry;
}

/* ids: storage for those of the entries. */
static void set_entries(const struct tracked_record *record, struct agent_exit *exit,
                        char ids[RECEIVERS_MAX][NOTICE_ID_SIZE])
{
	const struct receiver_config *config = record->records->config;
	for (size_t i = 0; config != NULL && i < config->receiver_count; i++) {
		const struct tracked_entry *from = &record->entries[i];
		struct agent_exit_notification *to =
		        from->state == NULL && !from->waiting
		                ? NULL
		                : entry_of(exit, config, config->receivers[i].name);
		if (to == NULL)
			continue;
		/* Without a state it waits, to be delivered or to be resolved. */
		if (from->state != NULL)
			to->state = from->state;
		else if (to->state == NULL)
			to->state = AGENT_EXIT_NOTIFICATION_PENDING;
		if (from->state == NULL && from->message[0] == '\0')
			continue;
		const struct notice notice = {.exit = exit, .settings = &config->receivers[i]};
		notice_id(&notice, ids[i]);
		to->id = ids[i];
		to->time = from->at;
		to->attempts = from->attempts;
		to->message = from->message[0] == '\0' ? NULL : from->message;
	}
}

/* It is being written. */
static void set_unchanged(struct tracked_record *record)
{
	record->records->changed -= record->changed;
	record->changed = record->postponed = false;
	record->attempts = 0;
}

void tracked_records_forget_postponed(struct tracked_records *records)
{
	for (size_t i = 0; i < TRACKED_RECORD_BUCKETS; i++)
		for (struct tracked_record *r = records->buckets[i], *next; r != NULL; r = next) {
			next = r->next;
			if (!r->postponed)
				continue;
			set_unchanged(r);
			event_loop_clear_timer(records->loop, &r->timer);
			tracked_record_release_unused(r);
		}
}

static void status_written(void *context, struct kube_response *response, const struct error *error)
{
	struct tracked_record *record = context;
	struct event_loop *loop = record->records->loop;
	record->request = NULL;
	bool gone = response->status == 404 || record->attempts >= TRACKED_RECORD_ATTEMPTS;
	if (error != NULL && !gone) {
		tracked_record_change(record);
		int64_t delay = kube_retry_delay("GET", response, record->attempts,
		                                 event_loop_random(loop));
		schedule(record, delay < 0 ? 30 * SECOND : delay);
		return;
	}
	record->attempts = 0;
	if (record->changed)
		schedule(record,
		         record->postponed ? TRACKED_RECORD_POSTPONED : TRACKED_RECORD_DELAY);
	else
		tracked_record_release_unused(record);
}

static void write_status(void *context)
{
	struct tracked_record *record = context;
	char ids[RECEIVERS_MAX][NOTICE_ID_SIZE];
	struct agent_exit exit;
	struct buffer body;
	struct arena *_cleanup_arena_ arena = arena_new(0);
	unsigned attempts = record->attempts + 1;
	if (record->request != NULL || !record->changed)
		return;
	if (arena == NULL || !tracked_record_read(record, arena, &exit)) {
		schedule(record, SECOND);
		return;
	}
	set_entries(record, &exit, ids);
	struct agent_exit status;
	agent_exit_init(&status);
	status.notification_count = exit.notification_count;
	memcpy(status.notifications, exit.notifications, sizeof status.notifications);
	buffer_init(&body, STATUS_MAX);
	agent_exit_write_status(&status, &body);
	size_t length = body.length;
	const struct request request = {
	        .kube = {.method = "PATCH",
	                 .content_type = KUBE_MERGE_PATCH,
	                 .path = record_path(record->namespace, record->name, "/status"),
	                 .body = buffer_steal(&body),
	                 .body_length = length},
	        .finish = status_written,
	        .context = record,
	};
	record->request = event_loop_add_request(record->records->loop, &request);
	if (record->request == NULL) {
		schedule(record, SECOND);
		return;
	}
	set_unchanged(record);
	record->attempts = attempts;
}
