#include "observer/receiver/receiver_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct queued_namespace {
	struct queued_namespace *next;
	char name[64];
	struct receiver_delivery *first;
	struct receiver_delivery *last;
	size_t bytes;
};

static struct queued_namespace *find(const struct receiver_queue *queue, const char *name)
{
	struct queued_namespace *namespace = queue->first;
	while (namespace != NULL && strcmp(namespace->name, name) != 0)
	namespace = namespace->next;
	return namespace;
}

static void append(struct receiver_queue *queue, struct queued_namespace *namespace)
{
	namespace->next = NULL;
	if (queue->last != NULL)
		queue->last->next = namespace;
	else
		queue->first = namespace;
	queue->last = namespace;
}

static void take_out(struct receiver_queue *queue, struct queued_namespace *namespace)
{
	struct queued_namespace *before = NULL;
	for (struct queued_namespace *n = queue->first; n != namespace; n = n->next)
		before = n;
	if (before != NULL)
		before->next = namespace->next;
	else
		queue->first = namespace->next;
	if (queue->last == namespace)
		queue->last = before;
}

static void count(struct receiver_queue *queue, struct queued_namespace *namespace,
                  const struct receiver_delivery *delivery)
{
	namespace->bytes += delivery->bytes;
	queue->bytes += delivery->bytes;
	queue->count++;
}

static void uncount(struct receiver_queue *queue, struct queued_namespace *namespace,
                    const struct receiver_delivery *delivery)
{
	namespace->bytes -= delivery->bytes;
	queue->bytes -= delivery->bytes;
	queue->count--;
}

bool receiver_queue_push(struct receiver_queue *queue, const char *name,
                         struct receiver_delivery *delivery, bool front)
{
	struct queued_namespace *namespace = find(queue, name);
	if (namespace == NULL) {
		namespace = calloc(1, sizeof *namespace);
		if (namespace == NULL)
			return false;
		snprintf(namespace->name, sizeof namespace->name, "%s", name);
		append(queue, namespace);
	}
	bool first = front || namespace->last == NULL;
	delivery->next = front ? namespace->first : NULL;
	*(first ? &namespace->first : &namespace->last->next) = delivery;
	if (!front || namespace->last == NULL)
	namespace->last = delivery;
	count(queue, namespace, delivery);
	return true;
}

struct receiver_delivery *receiver_queue_pop(struct receiver_queue *queue)
{
	struct queued_namespace *namespace = queue->first;
	if (namespace == NULL)
		return NULL;
	struct receiver_delivery *delivery = namespace->first;
	namespace->first = delivery->next;
	uncount(queue, namespace, delivery);
	delivery->next = NULL;
	take_out(queue, namespace);
	if (namespace->first != NULL)
		append(queue, namespace);
	else
		free(namespace);
	return delivery;
}

struct receiver_delivery *receiver_queue_displace(struct receiver_queue *queue, const char *name,
                                                  size_t bytes)
{
	struct queued_namespace *largest = NULL;
	const struct queued_namespace *own = find(queue, name);
	for (struct queued_namespace *n = queue->first; n != NULL; n = n->next)
		if (largest == NULL || n->bytes > largest->bytes)
			largest = n;
	size_t wanted = (own == NULL ? 0 : own->bytes) + bytes;
	if (largest == NULL || largest == own || largest->bytes - largest->last->bytes < wanted)
		return NULL;
	struct receiver_delivery *newest = largest->last;
	struct receiver_delivery *before = NULL;
	for (struct receiver_delivery *d = largest->first; d != newest; d = d->next)
		before = d;
	largest->last = before;
	if (before != NULL)
		before->next = NULL;
	else
		largest->first = NULL;
	uncount(queue, largest, newest);
	if (largest->first == NULL) {
		take_out(queue, largest);
		free(largest);
	}
	return newest;
}
