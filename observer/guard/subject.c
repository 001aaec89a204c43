#include "observer/guard/subject.h"

#include <stdio.h>

#include "lib/base/buffer.h"
#include "observer/notify/event.h"

#define COPY(array, text) snprintf(array, sizeof(array), "%s", (text) == NULL ? "" : (text))

void subject_of_pod(const struct pod *pod, struct breaker_subject *ret_subject)
{
	struct breaker_subject subject = {
	        .at = pod_time(json_get(pod->object, "metadata"), "creationTimestamp"),
	        .trial = pod->breaker_trial};
	COPY(subject.namespace, pod->namespace);
	COPY(subject.pod, pod->name);
	COPY(subject.uid, pod->uid);
	COPY(subject.owner_api_version, pod->owner.api_version);
	COPY(subject.owner_kind, pod->owner.kind);
	COPY(subject.owner_name, pod->owner.name);
	COPY(subject.owner_uid, pod->owner.uid);
	*ret_subject = subject;
}

void subject_event_write(const struct breaker_subject *subject, bool owner, const char *container,
                         const char *name, const char *message, int64_t wall, struct buffer *out)
{
	const struct event_text text = {.reason = "BreakerOpened", .message = message};
	const struct termination facts = {
	        .namespace = subject->namespace,
	        .pod = subject->pod,
	        .uid = subject->uid,
	        .container = container,
	        .owner_api_version = subject->owner_api_version,
	        .owner_kind = subject->owner_kind,
	        .owner_name = subject->owner_name,
	        .owner_uid = subject->owner_uid,
	};
	event_write(&facts, owner ? EVENT_OWNER : EVENT_POD, name, &text, wall, out);
}
