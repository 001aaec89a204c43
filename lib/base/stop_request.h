/*
 * stop_request: asks a thread to stop, which may be waiting for its next turn. It is made once and
 * stays. Thread-safe but for init and free.
 */
#ifndef LASTWORD_LIB_BASE_STOP_REQUEST_H
#define LASTWORD_LIB_BASE_STOP_REQUEST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct stop_request {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool made;
};

void stop_request_init(struct stop_request *request);
void stop_request_free(struct stop_request *request);

void stop_request_make(struct stop_request *request);
bool stop_request_is_made(struct stop_request *request);

/* Waits for that time on the monotonic clock, or until the request is made. True: it is made. */
bool stop_request_wait(struct stop_request *request, int64_t nanoseconds);

#endif
