/*
 * receiver_queue: what waits to be sent to one receiver, fairly between namespaces. Pure but for
 * memory.
 *
 * Each namespace has a queue, first in, first out; the next delivery is of the namespace whose turn
 * it is. When the bytes are used up, a namespace that holds less than the largest one takes room
 * from it: so a storm in one displaces nothing of the others.
 *
 * Invariants: bytes and count are the sums over the namespaces; a namespace without deliveries does
 * not exist. A delivery is in one queue at most, and belongs to it there.
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_RECEIVER_QUEUE_H
#define LASTWORD_OBSERVER_RECEIVER_RECEIVER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/receiver/storm.h"

struct tracked_record;

struct receiver_delivery {
	struct receiver_delivery *next;
	struct tracked_record *record;
	size_t receiver; /* its number in the configuration */
	size_t bytes;    /* that are charged for it */
	bool resolved;   /* the notification that it is over */
	bool alone;      /* not in one request with others: such a request was refused */
	/* of a storm */
	struct storm_keys keys;
	uint64_t held_by;                  /* the key whose credit is used up; 0: not held */
	struct receiver_delivery *covered; /* the ones that this digest also stands for */
	size_t covered_count;
};

struct queued_namespace;

struct receiver_queue {
	struct queued_namespace *first; /* whose turn is next */
	struct queued_namespace *last;
	size_t bytes;
	size_t count;
};

/* Adds at the end of its namespace's queue, or (front) before it. False: no memory. */
bool receiver_queue_push(struct receiver_queue *queue, const char *namespace,
                         struct receiver_delivery *delivery, bool front);

/* Takes the next one out, and gives the turn to the next namespace; NULL: there is none. */
struct receiver_delivery *receiver_queue_pop(struct receiver_queue *queue);

/* The newest delivery of the largest namespace, taken out; NULL where that namespace would have
 * less than the given one with so many bytes more. */
struct receiver_delivery *receiver_queue_displace(struct receiver_queue *queue,
                                                  const char *namespace, size_t bytes);

#endif
