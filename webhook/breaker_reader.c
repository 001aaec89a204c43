#include "webhook/breaker_reader.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/kube/client.h"

#define TIMEOUT (2 * SECOND) /* of a request */

struct breaker_reader {
	struct breaker_reader_options options;
	char path[400];
	struct kube_client *client;
	bool failed; /* the last read did */
	pthread_t thread;
	pthread_mutex_t lock; /* of stopping */
	pthread_cond_t wake;
	bool stopping;
};

static bool read_state(struct breaker_reader *reader, struct breaker_state *ret_state,
                       struct error *error)
{
	struct kube_response _cleanup_kube_response_ response;
	char version[BREAKER_VERSION_SIZE];
	const struct kube_request request = {
	        .path = reader->path, .timeout = TIMEOUT, .response_max = BREAKER_OBJECT_MAX};
	kube_response_init(&response);
	if (!kube_call(reader->client, &request, &response, error)) {
		*ret_state = (struct breaker_state){.entries = NULL};
		return response.status == 404;
	}
	return breaker_config_map_parse(buffer_text(&response.body), response.body.length,
	                                ret_state, version, error);
}

static bool is_stopping(struct breaker_reader *reader)
{
	pthread_mutex_lock(&reader->lock);
	bool stopping = reader->stopping;
	pthread_mutex_unlock(&reader->lock);
	return stopping;
}

static void read_once(struct breaker_reader *reader)
{
	struct breaker_state state;
	struct error error;
	if (read_state(reader, &state, &error)) {
		breaker_table_set(reader->options.table, &state, clock_wall() / SECOND);
		if (reader->failed)
			log_message(LOG_INFO, "the breaker's state is read again", NULL);
		reader->failed = false;
	} else if (!reader->failed && !is_stopping(reader)) {
		log_message(LOG_WARNING,
		            "the breaker's state cannot be read, the last one stays in force",
		            "error", error.message, NULL);
		reader->failed = true;
	}
}

/* False: the reader is to stop. */
static bool wait(struct breaker_reader *reader)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	int64_t nanoseconds = until.tv_nsec + reader->options.interval;
	until.tv_sec += nanoseconds / SECOND;
	until.tv_nsec = nanoseconds % SECOND;
	pthread_mutex_lock(&reader->lock);
	while (!reader->stopping)
		if (pthread_cond_timedwait(&reader->wake, &reader->lock, &until) == ETIMEDOUT)
			break;
	bool stopping = reader->stopping;
	pthread_mutex_unlock(&reader->lock);
	return !stopping;
}

static void *run(void *argument)
{
	struct breaker_reader *reader = argument;
	while (wait(reader))
		read_once(reader);
	return NULL;
}

static void reader_free(struct breaker_reader *reader)
{
	kube_client_free(reader->client);
	pthread_cond_destroy(&reader->wake);
	pthread_mutex_destroy(&reader->lock);
	free(reader);
}

bool breaker_reader_start(const struct breaker_reader_options *options,
                          struct breaker_reader **ret_reader, struct error *error)
{
	pthread_condattr_t monotonic;
	struct breaker_reader *reader = calloc(1, sizeof *reader);
	if (reader == NULL)
		return error_set(error, "no memory");
	reader->options = *options;
	snprintf(reader->path, sizeof reader->path, "/api/v1/namespaces/%.63s/configmaps/%.253s",
	         options->namespace, options->name);
	pthread_mutex_init(&reader->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&reader->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (!kube_client_new(options->service_account_dir, &reader->client, error)) {
		reader_free(reader);
		return false;
	}
	read_once(reader);
	int number = pthread_create(&reader->thread, NULL, run, reader);
	if (number != 0) {
		reader_free(reader);
		return error_set_errno(error, number, "starting the breaker's reader");
	}
	*ret_reader = reader;
	return true;
}

void breaker_reader_stop(struct breaker_reader *reader)
{
	if (reader == NULL)
		return;
	pthread_mutex_lock(&reader->lock);
	reader->stopping = true;
	pthread_cond_signal(&reader->wake);
	pthread_mutex_unlock(&reader->lock);
	kube_stop(reader->client);
	pthread_join(reader->thread, NULL);
	reader_free(reader);
}
