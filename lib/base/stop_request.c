#include "lib/base/stop_request.h"

#include <errno.h>
#include <time.h>

#include "lib/base/clock.h"

void stop_request_init(struct stop_request *request)
{
	pthread_condattr_t monotonic;
	pthread_mutex_init(&request->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&request->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	request->made = false;
}

void stop_request_free(struct stop_request *request)
{
	pthread_cond_destroy(&request->wake);
	pthread_mutex_destroy(&request->lock);
}

void stop_request_make(struct stop_request *request)
{
	pthread_mutex_lock(&request->lock);
	request->made = true;
	pthread_cond_signal(&request->wake);
	pthread_mutex_unlock(&request->lock);
}

bool stop_request_is_made(struct stop_request *request)
{
	pthread_mutex_lock(&request->lock);
	bool made = request->made;
	pthread_mutex_unlock(&request->lock);
	return made;
}

bool stop_request_wait(struct stop_request *request, int64_t nanoseconds)
{
	int64_t end = clock_now() + nanoseconds;
	struct timespec until = {.tv_sec = end / SECOND, .tv_nsec = end % SECOND};
	pthread_mutex_lock(&request->lock);
	while (!request->made &&
	       pthread_cond_timedwait(&request->wake, &request->lock, &until) != ETIMEDOUT)
		;
	bool made = request->made;
	pthread_mutex_unlock(&request->lock);
	return made;
}
