#include "webhook/breaker_reader.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/stop_request.h"
#include "lib/kube/client.h"

#define TIMEOUT (2 * SECOND) /* of a request */

struct breaker_reader {
	struct breaker_reader_options options;
	char path[400];
	struct kube_client *client;
	bool failed; /* the last read did */
	pthread_t thread;
	struct stop_request stop;
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

static void read_once(struct breaker_reader *reader)
{
	struct breaker_state state;
	struct error error;
	if (read_state(reader, &state, &error)) {
		breaker_table_set(reader->options.table, &state, clock_wall() / SECOND);
		if (reader->failed)
			log_message(LOG_INFO, "the breaker's state is read again", NULL);
		reader->failed = false;
	} else if (!reader->failed && !stop_request_is_made(&reader->stop)) {
		log_message(LOG_WARNING,
		            "the breaker's state cannot be read, the last one stays in force",
		            "error", error.message, NULL);
		reader->failed = true;
	}
}

static void *run(void *argument)
{
	struct breaker_reader *reader = argument;
	while (!stop_request_wait(&reader->stop, reader->options.interval))
		read_once(reader);
	return NULL;
}

static void reader_free(struct breaker_reader *reader)
{
	kube_client_free(reader->client);
	stop_request_free(&reader->stop);
	free(reader);
}

bool breaker_reader_start(const struct breaker_reader_options *options,
                          struct breaker_reader **ret_reader, struct error *error)
{
	struct breaker_reader *reader = calloc(1, sizeof *reader);
	if (reader == NULL)
		return error_set(error, "no memory");
	reader->options = *options;
	snprintf(reader->path, sizeof reader->path, "/api/v1/namespaces/%.63s/configmaps/%.253s",
	         options->namespace, options->name);
	stop_request_init(&reader->stop);
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
	stop_request_make(&reader->stop);
	kube_stop(reader->client);
	pthread_join(reader->thread, NULL);
	reader_free(reader);
}
