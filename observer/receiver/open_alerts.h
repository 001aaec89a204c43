/*
 * open_alerts: which alerts an Alertmanager has to be reminded of. Pure but for memory.
 *
 * An alert is a set of labels; the records of failures that it stands for are counted in it, and it
 * is open while one of them is: the first one that is resolved does not resolve the others' alert.
 * Alertmanager forgets an alert that nobody sends again, so they are sent every minute, until they
 * are closed or their time has passed.
 *
 * Bounds: OPEN_ALERTS_MAX alerts, OPEN_ALERT_RECORDS_MAX records of each; what does not fit is sent
 * once and ends by itself.
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_OPEN_ALERTS_H
#define LASTWORD_OBSERVER_RECEIVER_OPEN_ALERTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/receiver/notice.h"

struct buffer;

#define OPEN_ALERTS_MAX        ((size_t)2048)
#define OPEN_ALERT_RECORDS_MAX 64

struct open_alert;

struct open_alerts {
	struct open_alert *first;
	size_t count;
};

void open_alerts_free(struct open_alerts *alerts);

/* The notice's failure, of the record with that number (not 0), is open until then (since 1970). */
void open_alerts_set(struct open_alerts *alerts, const struct notice *notice, uint64_t record,
                     int64_t until);
/* It is over. */
void open_alerts_clear(struct open_alerts *alerts, const struct notice *notice, uint64_t record);
/* The notice's alert is open because of other records than that one. */
bool open_alerts_has_others(const struct open_alerts *alerts, const struct notice *notice,
                            uint64_t record);

/* Appends an array of at most `most` alerts, beginning with number `from` in their order, for
 * Alertmanager; returns how many. Those whose time is over end now, and are forgotten by
 * open_alerts_forget_expired(). */
size_t open_alerts_write(const struct open_alerts *alerts, size_t from, size_t most, int64_t wall,
                         struct buffer *out);
void open_alerts_forget_expired(struct open_alerts *alerts, int64_t wall);

#endif
