/*
 * sending: the queue of one receiver and its requests (receivers.h describes the states). No I/O of
 * its own: requests to the event loop.
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_SENDING_H
#define LASTWORD_OBSERVER_RECEIVER_SENDING_H

#include "observer/receiver/notice.h"
#include "observer/receiver/receiver_state.h"

/* False: no memory. */
bool sending_init(struct receiver *receiver, struct receivers *receivers,
                  const struct receiver_settings *settings, size_t number);
/* Drops everything that waits, or also what is in flight; the statuses stay as they are. */
void sending_drop_waiting(struct receiver *receiver);
void sending_clear(struct receiver *receiver);

/* A notification is due. False: there is no room for it, and the receiver is behind. */
bool sending_add(struct receiver *receiver, struct tracked_record *record,
                 const struct agent_exit *exit, bool resolved);

/* Bytes of what waits and is held. */
size_t sending_bytes(const struct receiver *receiver);
/* Sets the gauges of all receivers. */
void sending_measure(struct receivers *receivers);

#endif
