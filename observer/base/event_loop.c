#include "observer/base/event_loop.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMESPACE_EAGERNESS 3 /* one namespace alone: three quarters of the limit */

void event_loop_init(struct event_loop *loop, uint64_t seed, size_t limit)
{
	*loop = (struct event_loop){.random = seed, .limit = limit};
}

uint64_t event_loop_random(struct event_loop *loop)
{
	uint64_t z = loop->random += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

char *request_path(const char *format, ...)
{
	char *text = NULL;
	va_list arguments;
	va_start(arguments, format);
	int length = vasprintf(&text, format, arguments);
	va_end(arguments);
	return length < 0 ? NULL : text;
}

/* ---- Timers: a binary heap; heap[0] is the first ---- */

static bool is_before(const struct timer *a, const struct timer *b)
{
	return a->due != b->due ? a->due < b->due : a->number < b->number;
}

static void put(struct event_loop *loop, size_t index, struct timer *timer)
{
	loop->heap[index - 1] = timer;
	timer->index = index;
}

static void sift_up(struct event_loop *loop, size_t index, struct timer *timer)
{
	while (index > 1 && is_before(timer, loop->heap[index / 2 - 1])) {
		put(loop, index, loop->heap[index / 2 - 1]);
		index /= 2;
	}
	put(loop, index, timer);
}

static void sift_down(struct event_loop *loop, size_t index, struct timer *timer)
{
	for (;;) {
		size_t child = index * 2;
		if (child > loop->heap_count)
			break;
		if (child < loop->heap_count && is_before(loop->heap[child], loop->heap[child - 1]))
			child++;
		if (!is_before(loop->heap[child - 1], timer))
			break;
		put(loop, index, loop->heap[child - 1]);
		index = child;
	}
	put(loop, index, timer);
}

bool event_loop_set_timer(struct event_loop *loop, struct timer *timer, int64_t due)
{
	event_loop_clear_timer(loop, timer);
	if (loop->heap_count == loop->heap_size) {
		size_t size = loop->heap_size == 0 ? 64 : loop->heap_size * 2;
		struct timer **heap = reallocarray(loop->heap, size, sizeof(struct timer *));
		if (heap == NULL)
			return false;
		loop->heap = heap;
		loop->heap_size = size;
	}
	timer->due = due;
	timer->number = loop->timers_set++;
	loop->heap_count++;
	sift_up(loop, loop->heap_count, timer);
	return true;
}

void event_loop_clear_timer(struct event_loop *loop, struct timer *timer)
{
	size_t index = timer->index;
	if (index == 0)
		return;
	timer->index = 0;
	struct timer *last = loop->heap[--loop->heap_count];
	if (last == timer)
		return;
	sift_up(loop, index, last);
	sift_down(loop, last->index, last);
}

int64_t event_loop_next_timer(const struct event_loop *loop)
{
	return loop->heap_count == 0 ? INT64_MAX : loop->heap[0]->due;
}

void event_loop_fire_timers(struct event_loop *loop)
{
	while (event_loop_next_timer(loop) <= loop->now) {
		struct timer *timer = loop->heap[0];
		event_loop_clear_timer(loop, timer);
		timer->fire(timer->context);
	}
}

/* ---- Requests ---- */

static void list_add(struct request_list *list, struct request *request)
{
	request->previous = list->last;
	request->next = NULL;
	if (list->last != NULL)
		list->last->next = request;
	else
		list->first = request;
	list->last = request;
}

static void list_remove(struct request_list *list, struct request *request)
{
	if (request->previous != NULL)
		request->previous->next = request->next;
	else
		list->first = request->next;
	if (request->next != NULL)
		request->next->previous = request->previous;
	else
		list->last = request->previous;
}

static void free_secret(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

void outside_free(struct outside *outside)
{
	if (outside == NULL)
		return;
	for (size_t i = 0; outside->headers[i] != NULL; i++)
		free_secret(outside->headers[i]);
	free(outside->ca_file);
	free(outside);
}

/* What the request owns. */
static void free_content(const struct request *request)
{
	char *path = (char *)(uintptr_t)request->kube.path;
	char *body = (char *)(uintptr_t)request->kube.body;
	if (request->outside != NULL && body != NULL)
		explicit_bzero(body, request->kube.body_length);
	free(body);
	if (request->outside != NULL)
		free_secret(path);
	else
		free(path);
	outside_free(request->outside);
}

static void request_free(struct request *request)
{
	free_content(request);
	free(request);
}

/* Whoever is responsible for the request: the namespace in its path, "" for none. */
static struct fair_holder *acquire_holder(struct event_loop *loop, const char *path)
{
	static const char before[] = "/namespaces/";
	char name[64] = "";
	const char *start = strstr(path, before);
	if (start != NULL) {
		start += sizeof before - 1;
		size_t length = strcspn(start, "/?");
		snprintf(name, sizeof name, "%.*s", length > 63 ? 63 : (int)length, start);
	}
	return fair_share_acquire(&loop->share, name);
}

/* There was memory for what it consists of. */
static bool is_whole(const struct request *request)
{
	const char *method = request->kube.method;
	bool has_body =
	        method != NULL && strcmp(method, "GET") != 0 && strcmp(method, "DELETE") != 0;
	return request->kube.path != NULL && (!has_body || request->kube.body != NULL);
}

struct request *event_loop_add_request(struct event_loop *loop, const struct request *request)
{
	bool ordinary = request->priority == REQUEST_ORDINARY;
	struct request *copy = is_whole(request) ? malloc(sizeof *copy) : NULL;
	struct fair_holder *holder =
	        copy != NULL && ordinary ? acquire_holder(loop, request->kube.path) : NULL;
	if (copy == NULL || (ordinary && holder == NULL)) {
		free_content(request);
		free(copy);
		return NULL;
	}
	*copy = *request;
	copy->holder = holder;
	copy->in_flight = false;
	copy->operation = NULL;
	list_add(&loop->waiting[copy->priority], copy);
	return copy;
}

static void take_out(struct event_loop *loop, struct request *request)
{
	list_remove(request->in_flight ? &loop->in_flight : &loop->waiting[request->priority],
	            request);
	if (request->holder == NULL)
		return;
	if (request->in_flight)
		fair_share_give_back(&loop->share, request->holder, 1);
	fair_share_release(&loop->share, request->holder);
}

void event_loop_cancel_request(struct event_loop *loop, struct request *request)
{
	if (request == NULL)
		return;
	take_out(loop, request);
	if (request->in_flight && loop->cancel != NULL)
		loop->cancel(loop->transport, request);
	request_free(request);
}

/* The first of those whose namespaces have the fewest in flight; NULL: none may go. */
static struct request *next_ordinary(const struct event_loop *loop)
{
	struct request *best = NULL;
	if (loop->share.total >= loop->limit)
		return NULL;
	for (struct request *request = loop->waiting[REQUEST_ORDINARY].first;
	     request != NULL && (best == NULL || best->holder->amount > 0); request = request->next)
		if (best == NULL || request->holder->amount < best->holder->amount)
			best = request;
	return best != NULL && fair_share_fits(&loop->share, best->holder, 1, loop->limit,
	                                       NAMESPACE_EAGERNESS)
	               ? best
	               : NULL;
}

struct request *event_loop_next_request(struct event_loop *loop)
{
	struct request *request = loop->waiting[REQUEST_URGENT].first;
	if (request == NULL)
		request = next_ordinary(loop);
	if (request == NULL)
		return NULL;
	list_remove(&loop->waiting[request->priority], request);
	request->in_flight = true;
	list_add(&loop->in_flight, request);
	if (request->holder != NULL)
		fair_share_take(&loop->share, request->holder, 1);
	if (request->outside == NULL)
		loop->requests++;
	return request;
}

bool event_loop_receive(struct request *request, const char *bytes, size_t length)
{
	return request->receive(request->context, bytes, length);
}

void event_loop_finish_request(struct event_loop *loop, struct request *request,
                               struct kube_response *response, const struct error *error)
{
	request_finish *finish = request->finish;
	void *context = request->context;
	take_out(loop, request);
	request_free(request);
	finish(context, response, error);
}

static void free_all(struct request *request)
{
	while (request != NULL) {
		struct request *next = request->next;
		request_free(request);
		request = next;
	}
}

void event_loop_free(struct event_loop *loop)
{
	free_all(loop->waiting[REQUEST_URGENT].first);
	free_all(loop->waiting[REQUEST_ORDINARY].first);
	for (struct request *request = loop->in_flight.first; request != NULL;) {
		struct request *next = request->next;
		if (loop->cancel != NULL)
			loop->cancel(loop->transport, request);
		request_free(request);
		request = next;
	}
	free(loop->heap);
	fair_share_free(&loop->share);
	event_loop_init(loop, 0, 0);
}
