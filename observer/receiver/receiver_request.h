/*
 * receiver_request: the request that carries a payload to a receiver: its URL, headers and secrets,
 * which are read from their files for each request, since they may change.
 *
 * The error of a failure names files and what is wrong with them, and repeats nothing of them.
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_RECEIVER_REQUEST_H
#define LASTWORD_OBSERVER_RECEIVER_RECEIVER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "observer/base/event_loop.h"
#include "observer/receiver/notice.h"

/* The values of the settings' parameters, read anew. */
struct receiver_parameters {
	char *values[RECEIVER_HEADERS_MAX];
	size_t count;
};
bool receiver_parameters_read(const struct receiver_settings *settings,
                              struct receiver_parameters *ret_parameters, struct error *error);
/* Wipes and frees them. */
void receiver_parameters_free(struct receiver_parameters *parameters);

/* Fills in what is sent, but not finish() and context: the notices' payload as the settings want
 * it. On success the caller owns kube.path, kube.body and outside. wall: now, since 1970. */
bool receiver_request_make(const struct receiver_settings *settings, const struct notice *notices,
                           size_t count, int64_t wall, struct request *ret_request,
                           struct error *error);
/* The same for a body that is made already (malloc'ed; taken over, also on failure). */
bool receiver_request_with(const struct receiver_settings *settings, char *body, size_t length,
                           struct request *ret_request, struct error *error);

#endif
