#include "observer/receiver/open_alerts.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/hash.h"
#include "lib/base/json_write.h"
#include "lib/base/timestamp.h"
#include "observer/receiver/payload.h"

#define ALERT_MAX ((size_t)16 * 1024)

struct open_alert {
	struct open_alert *next;
	uint64_t key; /* of its labels */
	char *text;   /* the JSON object without endsAt and the closing brace */
	int64_t until;
	uint64_t records[OPEN_ALERT_RECORDS_MAX];
	size_t record_count;
};

/* The object without its end; *ret_key: of the labels, which come first. NULL: no memory. */
static char *text_of(const struct notice *notice, uint64_t *ret_key)
{
	struct buffer text;
	struct json_writer writer;
	buffer_init(&text, ALERT_MAX);
	json_writer_init(&writer, &text);
	writer.safe_text = true;
	payload_write_alert(notice, AGENT_EXIT_UNKNOWN, &writer);
	const char *end = buffer_ok(&text) ? strstr(buffer_text(&text), ",\"annotations\":") : NULL;
	if (end == NULL) {
		buffer_free(&text);
		return NULL;
	}
	*ret_key = hash_bytes(text.data, (size_t)(end - text.data));
	buffer_truncate(&text, text.length - 1);
	return buffer_steal(&text);
}

static struct open_alert **link_of(const struct open_alerts *alerts, uint64_t key)
{
	struct open_alert **link = (struct open_alert **)(uintptr_t)&alerts->first;
	while (*link != NULL && (*link)->key != key)
		link = &(*link)->next;
	return link;
}

static void take_out(struct open_alerts *alerts, struct open_alert **link)
{
	struct open_alert *alert = *link;
	*link = alert->next;
	alerts->count--;
	free(alert->text);
	free(alert);
}

void open_alerts_free(struct open_alerts *alerts)
{
	while (alerts->first != NULL)
		take_out(alerts, &alerts->first);
}

static size_t place_of(const struct open_alert *alert, uint64_t record)
{
	size_t i = 0;
	while (i < alert->record_count && alert->records[i] != record)
		i++;
	return i;
}

void open_alerts_set(struct open_alerts *alerts, const struct notice *notice, uint64_t record,
                     int64_t until)
{
	uint64_t key = 0;
	char *text = text_of(notice, &key);
	struct open_alert **link = link_of(alerts, key);
	if (text == NULL)
		return;
	if (*link == NULL && alerts->count < OPEN_ALERTS_MAX) {
		*link = calloc(1, sizeof **link);
		alerts->count += *link != NULL;
	}
	struct open_alert *alert = *link;
	if (alert == NULL) {
		free(text);
		return;
	}
	alert->key = key;
	if (place_of(alert, record) == alert->record_count &&
	    alert->record_count < OPEN_ALERT_RECORDS_MAX)
		alert->records[alert->record_count++] = record;
	/* The latest failure is shown. */
	if (until < alert->until) {
		free(text);
		return;
	}
	free(alert->text);
	alert->text = text;
	alert->until = until;
}

/* The alert of the notice; NULL: it is not open. */
static struct open_alert **find(const struct open_alerts *alerts, const struct notice *notice)
{
	uint64_t key = 0;
	char *text = text_of(notice, &key);
	struct open_alert **link = text == NULL ? NULL : link_of(alerts, key);
	free(text);
	return link == NULL || *link == NULL ? NULL : link;
}

void open_alerts_clear(struct open_alerts *alerts, const struct notice *notice, uint64_t record)
{
	struct open_alert **link = find(alerts, notice);
	if (link == NULL)
		return;
	struct open_alert *alert = *link;
	size_t place = place_of(alert, record);
	if (place < alert->record_count)
		alert->records[place] = alert->records[--alert->record_count];
	if (alert->record_count == 0)
		take_out(alerts, link);
}

bool open_alerts_has_others(const struct open_alerts *alerts, const struct notice *notice,
                            uint64_t record)
{
	struct open_alert **link = find(alerts, notice);
	if (link == NULL)
		return false;
	return (*link)->record_count > (place_of(*link, record) < (*link)->record_count ? 1 : 0);
}

size_t open_alerts_write(const struct open_alerts *alerts, size_t from, size_t most, int64_t wall,
                         struct buffer *out)
{
	size_t number = 0;
	size_t written = 0;
	buffer_append_char(out, '[');
	for (const struct open_alert *a = alerts->first; a != NULL && written < most;
	     a = a->next, number++) {
		char ends_at[TIMESTAMP_SIZE];
		if (number < from)
			continue;
		timestamp_print(a->until <= wall ? wall : wall + PAYLOAD_ALERT_LASTS, ends_at);
		buffer_printf(out, "%s%s,\"endsAt\":\"%s\"}", written == 0 ? "" : ",", a->text,
		              ends_at);
		written++;
	}
	buffer_append_char(out, ']');
	return written;
}

void open_alerts_forget_expired(struct open_alerts *alerts, int64_t wall)
{
	struct open_alert **link = &alerts->first;
	while (*link != NULL) {
		if ((*link)->until <= wall)
			take_out(alerts, link);
		else
			link = &(*link)->next;
	}
}
