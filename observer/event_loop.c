#include "observer/event_loop.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void engine_init(struct engine *engine, uint64_t seed, size_t limit)
{
	*engine = (struct engine){.random = seed, .limit = limit};
}

uint64_t engine_random(struct engine *engine)
{
	uint64_t z = engine->random += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

char *engine_text(const char *format, ...)
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

static void put(struct engine *engine, size_t index, struct timer *timer)
{
	engine->heap[index - 1] = timer;
	timer->index = index;
}

static void sift_up(struct engine *engine, size_t index, struct timer *timer)
{
	while (index > 1 && is_before(timer, engine->heap[index / 2 - 1])) {
		put(engine, index, engine->heap[index / 2 - 1]);
		index /= 2;
	}
	put(engine, index, timer);
}

static void sift_down(struct engine *engine, size_t index, struct timer *timer)
{
	for (;;) {
		size_t child = index * 2;
		if (child > engine->heap_count)
			break;
		if (child < engine->heap_count &&
		    is_before(engine->heap[child], engine->heap[child - 1]))
			child++;
		if (!is_before(engine->heap[child - 1], timer))
			break;
		put(engine, index, engine->heap[child - 1]);
		index = child;
	}
	put(engine, index, timer);
}

bool engine_set_timer(struct engine *engine, struct timer *timer, int64_t due)
{
	engine_clear_timer(engine, timer);
	if (engine->heap_count == engine->heap_size) {
		size_t size = engine->heap_size == 0 ? 64 : engine->heap_size * 2;
		struct timer **heap = reallocarray(engine->heap, size, sizeof(struct timer *));
		if (heap == NULL)
			return false;
		engine->heap = heap;
		engine->heap_size = size;
	}
	timer->due = due;
	timer->number = engine->timers_set++;
	engine->heap_count++;
	sift_up(engine, engine->heap_count, timer);
	return true;
}

void engine_clear_timer(struct engine *engine, struct timer *timer)
{
	size_t index = timer->index;
	if (index == 0)
		return;
	timer->index = 0;
	struct timer *last = engine->heap[--engine->heap_count];
	if (last == timer)
		return;
	sift_up(engine, index, last);
	sift_down(engine, last->index, last);
}

int64_t engine_next_timer(const struct engine *engine)
{
	return engine->heap_count == 0 ? INT64_MAX : engine->heap[0]->due;
}

void engine_fire(struct engine *engine)
{
	while (engine_next_timer(engine) <= engine->now) {
		struct timer *timer = engine->heap[0];
		engine_clear_timer(engine, timer);
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

static void request_free(struct request *request)
{
	free((void *)(uintptr_t)request->ask.path);
	free((void *)(uintptr_t)request->ask.body);
	free(request);
}

struct request *engine_request(struct engine *engine, const struct request *request)
{
	struct request *copy = malloc(sizeof *copy);
	if (copy == NULL || request->ask.path == NULL) {
		free((void *)(uintptr_t)request->ask.path);
		free((void *)(uintptr_t)request->ask.body);
		free(copy);
		return NULL;
	}
	*copy = *request;
	copy->carried = false;
	copy->carrier = NULL;
	list_add(&engine->waiting[copy->rank], copy);
	return copy;
}

static void take_out(struct engine *engine, struct request *request)
{
	if (!request->carried) {
		list_remove(&engine->waiting[request->rank], request);
		return;
	}
	list_remove(&engine->carried, request);
	engine->ordinary -= request->rank == REQUEST_ORDINARY;
}

void engine_cancel(struct engine *engine, struct request *request)
{
	if (request == NULL)
		return;
	take_out(engine, request);
	if (request->carried && engine->drop != NULL)
		engine->drop(engine->edge, request);
	request_free(request);
}

struct request *engine_take(struct engine *engine)
{
	struct request *request = engine->waiting[REQUEST_URGENT].first;
	if (request == NULL && engine->ordinary < engine->limit)
		request = engine->waiting[REQUEST_ORDINARY].first;
	if (request == NULL)
		return NULL;
	list_remove(&engine->waiting[request->rank], request);
	request->carried = true;
	list_add(&engine->carried, request);
	engine->ordinary += request->rank == REQUEST_ORDINARY;
	engine->requests++;
	return request;
}

bool engine_receive(struct request *request, const char *bytes, size_t length)
{
	return request->receive(request->context, bytes, length);
}

void engine_finish(struct engine *engine, struct request *request, struct kube_response *response,
                   const struct error *error)
{
	request_finish *finish = request->finish;
	void *context = request->context;
	take_out(engine, request);
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

void engine_free(struct engine *engine)
{
	free_all(engine->waiting[REQUEST_URGENT].first);
	free_all(engine->waiting[REQUEST_ORDINARY].first);
	for (struct request *request = engine->carried.first; request != NULL;) {
		struct request *next = request->next;
		if (engine->drop != NULL)
			engine->drop(engine->edge, request);
		request_free(request);
		request = next;
	}
	free(engine->heap);
	engine_init(engine, 0, 0);
}
