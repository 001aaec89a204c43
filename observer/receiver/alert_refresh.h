/*
 * alert_refresh: sends the open alerts of a receiver of the type alertmanager again, every minute.
 * No I/O of its own: requests to the event loop.
 *
 * Which ones are open follows from the records: the receiver's entry is Delivered, and the failure
 * is not over. So a new leader learns them when it reads the records.
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_ALERT_REFRESH_H
#define LASTWORD_OBSERVER_RECEIVER_ALERT_REFRESH_H

#include "observer/receiver/receiver_state.h"

#define ALERT_REFRESH_INTERVAL (60 * SECOND)

void alert_refresh_init(struct receiver *receiver);
void alert_refresh_clear(struct receiver *receiver);

/* The record as it is, and the state of the receiver's entry; receivers of other types: nothing. */
void alert_refresh_update(struct receiver *receiver, const struct agent_exit *exit,
                          const char *state);
/* The alert of the record is open because of others. */
bool alert_refresh_has_others(const struct receiver *receiver, const struct agent_exit *exit);

#endif
