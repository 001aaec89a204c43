/*
 * receivers: notifies the configured receivers of records. No I/O of its own but for small files
 * (configuration, tokens): requests to the event loop.
 *
 * Every record that is written, found, resolved, or silent is offered by the leader; what is due to
 * whom follows from the record alone:
 *
 *   that it ended     The filter matches, and the receiver's entry in status.notifications is
 *                     Pending. For a receiver of silence alone: the record has the condition
 *                     Silent, and the entry is Pending, or missing while the silence lasts.
 *   that it is over   The filter wants it, the entry is Delivered, and the record is resolved. For
 *                     a receiver of silence alone also: the silence is over.
 *
 * A delivery goes through these states:
 *
 *   waiting   in the queue of its receiver, fair between namespaces              → sending
 *   sending   at most RECEIVER_IN_FLIGHT requests, one after a failure;
 *             accepted → Delivered or Resolved, refused → Failed, else           → waiting, later
 *   held      in a storm (storm.h): one digest is sent for all of them, then
 *             Delivered for the one that it shows, Grouped for the others
 *
 * Invariants:
 *  - At least once: an entry says Delivered after the receiver has accepted it; until then it says
 *    Pending, and the next leader, or this one when its memory was too small, delivers it.
 *  - What an entry says is delivered is not delivered again.
 *  - A receiver has at most RECEIVER_BYTES_MAX of waiting and held deliveries in memory. What does
 *    not fit stays Pending in its record; when there is room again, the records are read anew.
 *  - Receivers wait for nobody else's: each has its queue, its requests, its backoff.
 *  - What is older than RECEIVER_AGE_MAX is given up (Failed).
 *  - A bad configuration changes nothing. A new one takes the place of the old one when nothing is
 *    in flight and every status is written, so no delivery is forgotten that was made.
 *  - No secret of a receiver is in a log line, an error, a metric or a status.
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_RECEIVERS_H
#define LASTWORD_OBSERVER_RECEIVER_RECEIVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/kube/agent_exit.h"
#include "observer/base/event_loop.h"
#include "observer/base/metrics.h"
#include "observer/receiver/receiver_state.h"

/* path: the configuration, NULL: none; one that cannot be read is logged, and tried again when it
 * changes. False: no memory. */
bool receivers_init(struct receivers *receivers, struct event_loop *loop,
                    struct observer_metrics *metrics, const char *path,
                    void (*reread)(void *context), void *context);
void receivers_free(struct receivers *receivers);

void receivers_set_leader(struct receivers *receivers, bool leader);
/* Updates the gauges. */
void receivers_measure(struct receivers *receivers);
/* Looks whether the file has changed. To be called now and then. */
void receivers_reload(struct receivers *receivers);
/* Nothing is sent any more; what was delivered is written down. */
void receivers_stop(struct receivers *receivers);
bool receivers_are_drained(const struct receivers *receivers);

/* A record as the API server has it now. found: as it had it at some moment since the records were
 * last asked for. */
void receivers_offer(struct receivers *receivers, const struct agent_exit *exit, bool found);

/* Adds the entries (Pending) with which a new record's list of notifications begins; returns how
 * many, at most RECEIVERS_MAX. Their texts live as long as the configuration. */
size_t receivers_list_pending(const struct receivers *receivers, const char *namespace,
                              const char *cause, struct agent_exit_notification *ret_entries);

#endif
