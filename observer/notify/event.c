#include "observer/notify/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"
#include "lib/base/clock.h"
#include "lib/kube/agent_exit.h"
#include "lib/base/buffer.h"
#include "lib/base/json_write.h"
#include "lib/base/timestamp.h"
#include "lib/base/utf8.h"

#define MINUTE (60 * SECOND)

void event_name(const struct termination *termination, const char *reason, enum event_target target,
                char ret_name[EVENT_NAME_SIZE])
{
	/* The pod's uid instead of its name: so it always fits. */
	snprintf(ret_name, EVENT_NAME_SIZE, "lastword.%.64s.%.63s.%s%" PRId64 ".%s%s",
	         termination->uid, termination->container,
	         termination->kind == TERMINATION_NEVER_STARTED ? "never-" : "",
	         termination->restart_count,
	         strcmp(reason, EVENT_REASON_SILENT) == 0 ? "silent-" : "",
	         target == EVENT_POD ? "pod" : "owner");
}

static void write_object(struct json_writer *writer, const struct termination *termination,
                         enum event_target target)
{
	char path[96];
	bool pod = target == EVENT_POD;
	snprintf(path, sizeof path, "spec.containers{%.63s}", termination->container);
	json_write_key(writer, "involvedObject");
	json_write_object_begin(writer);
	json_write_member(writer, "apiVersion", pod ? "v1" : termination->owner_api_version);
	json_write_member(writer, "kind", pod ? "Pod" : termination->owner_kind);
	json_write_member(writer, "namespace", termination->namespace);
	json_write_member(writer, "name", pod ? termination->pod : termination->owner_name);
	json_write_member(writer, "uid", pod ? termination->uid : termination->owner_uid);
	if (pod)
		json_write_member(writer, "fieldPath", path);
	json_write_object_end(writer);
}

static void write_source(struct json_writer *writer, const char *node)
{
	json_write_key(writer, "source");
	json_write_object_begin(writer);
	json_write_member(writer, "component", "lastword-observer");
	json_write_member(writer, "host", node);
	json_write_object_end(writer);
	json_write_member(writer, "reportingComponent", "lastword.dev/observer");
}

/* Bytes of the longest beginning that has at most EVENT_MESSAGE_MAX bytes when what is unsafe, or
 * no UTF-8, is replaced by the three of U+FFFD. */
static size_t fitting_length(const char *message)
{
	size_t length = strlen(message);
	size_t at = 0;
	for (size_t written = 0; at < length;) {
		size_t sequence = utf8_sequence(message + at, length - at);
		bool stays =
		        sequence > 0 && !utf8_is_unsafe(utf8_code_point(message + at, sequence));
		written += stays ? sequence : 3;
		if (written > EVENT_MESSAGE_MAX)
			break;
		at += sequence > 0 ? sequence : 1;
	}
	return at;
}

void event_write(const struct termination *termination, enum event_target target, const char *name,
                 const struct event_text *text, int64_t wall, struct buffer *out)
{
	struct json_writer writer;
	char now[TIMESTAMP_SIZE];
	timestamp_print(wall - wall % SECOND, now); /* metav1.Time: whole seconds */
	size_t length = fitting_length(text->message);
	json_writer_init(&writer, out);
	writer.safe_text = true;
	json_write_object_begin(&writer);
	json_write_member(&writer, "apiVersion", "v1");
	json_write_member(&writer, "kind", "Event");
	json_write_key(&writer, "metadata");
	json_write_object_begin(&writer);
	json_write_member(&writer, "name", name);
	json_write_member(&writer, "namespace", termination->namespace);
	json_write_object_end(&writer);
	write_object(&writer, termination, target);
	json_write_member(&writer, "reason", text->reason);
	json_write_key(&writer, "message");
	json_write_string_n(&writer, text->message, length);
	json_write_member(&writer, "type", "Warning");
	json_write_member_integer(&writer, "count", 1);
	json_write_member(&writer, "firstTimestamp", now);
	json_write_member(&writer, "lastTimestamp", now);
	write_source(&writer, termination->node);
	json_write_object_end(&writer);
}

/* Of sixteen hex digits; all else counts as the same fingerprint. */
static uint64_t number_of(const char *fingerprint)
{
	return fingerprint == NULL ? 0 : strtoull(fingerprint, NULL, 16);
}

bool event_is_allowed(struct event_groups *groups, const char *namespace, const char *fingerprint,
                      int64_t now)
{
	uint64_t number = number_of(fingerprint);
	uint64_t place = hash_add(number, namespace, strlen(namespace));
	struct event_group *group = &groups->groups[hash_place(place, EVENT_GROUPS)];
	if (group->fingerprint != number || strcmp(group->namespace, namespace) != 0) {
		*group = (struct event_group){.fingerprint = number};
		snprintf(group->namespace, sizeof group->namespace, "%s", namespace);
	}
	if (group->paid_until > now + (EVENT_BURST - 1) * MINUTE)
		return false;
	group->paid_until = (group->paid_until > now ? group->paid_until : now) + MINUTE;
	return true;
}
