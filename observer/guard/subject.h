/*
 * subject: the pod that a report of the breaker's is about, or of refused pods their owner; copied,
 * so that it outlives the object. Pure.
 */
#ifndef LASTWORD_OBSERVER_GUARD_SUBJECT_H
#define LASTWORD_OBSERVER_GUARD_SUBJECT_H

#include <stdint.h>

#include "observer/pod/pod.h"
#include "observer/pod/termination.h"

struct buffer;

/* Texts that do not fit are cut: the API server allows none that are longer. */
struct breaker_subject {
	char namespace[64];
	char pod[254]; /* "": there is none, it was refused */
	char uid[64];
	char owner_api_version[128]; /* "": it has no owner */
	char owner_kind[64];
	char owner_name[254];
	char owner_uid[64];
	int64_t at;    /* when it was created, or refused; nanoseconds since 1970 */
	int64_t trial; /* the half-open breaker that it was let through; 0: none */
};

void subject_of_pod(const struct pod *pod, struct breaker_subject *ret_subject);

/* Appends the Event BreakerOpened about it for a POST; name is the Event's. container: of the pod.
 */
void subject_event_write(const struct breaker_subject *subject, bool owner, const char *container,
                         const char *name, const char *message, int64_t wall, struct buffer *out);

#endif
