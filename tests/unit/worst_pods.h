/*
 * worst_pods: reviews of pods whose lists are as long as a client may make them, one list at a time
 * or two together. For the test that the work of a review is linear in its bytes, and for the bench
 * that prints what such reviews cost.
 */
#ifndef LASTWORD_TESTS_WORST_PODS_H
#define LASTWORD_TESTS_WORST_PODS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/buffer.h"

/* Where a list stands in the review. */
enum worst_place {
	WORST_LABELS,
	WORST_ANNOTATIONS,
	WORST_METADATA,
	WORST_SPEC,
	WORST_CONTAINER, /* of the agent's */
	WORST_LIMITS,
	WORST_REQUESTS,
	WORST_CONTAINERS,
	WORST_PLACES,
};

/* A list: what stands before it, each element (a format of its number) and what stands behind. */
struct worst_list {
	const char *name;
	enum worst_place place;
	const char *begin;
	const char *element;
	const char *end;
};

/* Elements are separated by commas; a %1$u is the element's number. */
static const struct worst_list worst_lists[] = {
        {"labels", WORST_LABELS, "", "\"l%1$u\":\"\"", ""},
        {"annotations", WORST_ANNOTATIONS, "", "\"a%1$u\":\"\"", ""},
        {"unknown annotations of ours", WORST_ANNOTATIONS, "", "\"lastword.dev/%1$u\":\"\"", ""},
        {"context annotations", WORST_ANNOTATIONS, "", "\"lastword.dev/context.c%1$u\":\"v\"", ""},
        {"AppArmor annotations", WORST_ANNOTATIONS, "",
         "\"container.apparmor.security.beta.kubernetes.io/c%1$u\":\"localhost/p\"", ""},
        {"names of agents", WORST_ANNOTATIONS, "\"lastword.dev/containers\":\"main", ",c%1$u",
         "\""},
        {"autoscaler's list", WORST_ANNOTATIONS,
         "\"cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes\":\"v", ",v%1$u", "\""},
        {"words of the command annotation", WORST_ANNOTATIONS,
         "\"lastword.dev/command\":\"[\\\"a\\\"", ",\\\"$%1$u\\\"", "]\""},
        {"owners", WORST_METADATA, "\"ownerReferences\":[", "{\"kind\":\"%1$u\"}", "]"},
        {"finalizers", WORST_METADATA, "\"finalizers\":[", "\"%1$u\"", "]"},
        {"init containers", WORST_SPEC, "\"initContainers\":[", "{\"name\":\"i%1$u\"}", "]"},
        {"ephemeral containers", WORST_SPEC, "\"ephemeralContainers\":[", "{\"name\":\"e%1$u\"}",
         "]"},
        {"volumes", WORST_SPEC, "\"volumes\":[", "{\"name\":\"v%1$u\"}", "]"},
        {"tolerations", WORST_SPEC, "\"tolerations\":[", "{\"key\":\"t%1$u\"}", "]"},
        {"node selector", WORST_SPEC, "\"nodeSelector\":{", "\"n%1$u\":\"\"", "}"},
        {"node selector terms", WORST_SPEC,
         "\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":"
         "{\"nodeSelectorTerms\":[",
         "{\"matchExpressions\":[{\"key\":\"kubernetes.io/os\",\"operator\":\"In\",\"values\":["
         "\"windows\",\"%1$u\"]}]}",
         "]}}}"},
        {"node selector expressions", WORST_SPEC,
         "\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":"
         "{\"nodeSelectorTerms\":[{\"matchExpressions\":[",
         "{\"key\":\"%1$u\",\"operator\":\"In\",\"values\":[\"windows\"]}", "]}]}}}"},
        {"supplemental groups", WORST_SPEC, "\"securityContext\":{\"supplementalGroups\":[", "%1$u",
         "]}"},
        {"pull secrets", WORST_SPEC, "\"imagePullSecrets\":[", "{\"name\":\"%1$u\"}", "]"},
        {"host aliases", WORST_SPEC, "\"hostAliases\":[", "{\"ip\":\"%1$u\"}", "]"},
        {"unknown fields", WORST_SPEC, "\"x\":{", "\"%1$u\":1", "}"},
        {"unknown fields of one beginning", WORST_SPEC, "\"x\":{",
         "\"the-same-long-beginning-of-every-key-that-is-here-%1$u\":1", "}"},
        {"containers", WORST_CONTAINERS, "", "{\"name\":\"c%1$u\"}", ""},
        {"containers with a command", WORST_CONTAINERS, "",
         "{\"name\":\"d%1$u\",\"command\":[\"x\"]}", ""},
        {"words of a watchdog", WORST_CONTAINERS,
         "{\"name\":\"lastword-watchdog\",\"command\":[\"/shim\",\"watch\"",
         ",\"--container\",\"c%1$u\"", "]}"},
        {"mounts", WORST_CONTAINER, "\"volumeMounts\":[", "{\"mountPath\":\"/m%1$u\"}", "]"},
        {"devices", WORST_CONTAINER, "\"volumeDevices\":[", "{\"devicePath\":\"/m%1$u\"}", "]"},
        {"environment", WORST_CONTAINER, "\"env\":[", "{\"name\":\"E%1$u\"}", "]"},
        {"arguments", WORST_CONTAINER, "\"args\":[", "\"%1$u\"", "]"},
        {"words of the command", WORST_CONTAINER, "\"command\":[\"a\"", ",\"%1$u\"", "]"},
        {"commands of a script", WORST_CONTAINER, "\"command\":[\"sh\",\"-c\",\"exec a",
         ";exec a%1$u", "\"]"},
        {"wrappers of a command", WORST_CONTAINER, "\"command\":[\"env\"", ",\"A=%1$u\"", "]"},
        {"limits", WORST_LIMITS, "", "\"r%1$u\":\"1\"", ""},
        {"requests", WORST_REQUESTS, "", "\"r%1$u\":\"1\"", ""},
        {"words of the hook", WORST_CONTAINER,
         "\"lifecycle\":{\"preStop\":{\"exec\":{\"command\":[", "\"%1$u\"", "]}}}"},
        {"restart rules", WORST_CONTAINER, "\"restartPolicyRules\":[", "{\"a\":%1$u}", "]"},
        {"ports", WORST_CONTAINER, "\"ports\":[", "{\"containerPort\":%1$u}", "]"},
        {"the image's path", WORST_CONTAINER, "\"image\":\"i", "/a%1$u", "\""},
};
#define WORST_LISTS (sizeof worst_lists / sizeof worst_lists[0])

static inline void worst_write_list(struct buffer *out, const struct worst_list *list, size_t bytes)
{
	size_t end = out->length + bytes;
	bool joined = strchr(",/;", list->element[0]) != NULL;
	buffer_append_text(out, list->begin);
	for (unsigned i = 0; out->length < end || i == 0; i++) {
		if (i > 0 && !joined)
			buffer_append_char(out, ',');
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		buffer_printf(out, list->element, i);
#pragma GCC diagnostic pop
	}
	buffer_append_text(out, list->end);
}

/* The lists of a place, behind what is there; separated by commas. */
static inline void worst_write_place(struct buffer *out, enum worst_place place,
                                     const struct worst_list *const *lists, size_t count,
                                     size_t bytes)
{
	for (size_t i = 0; i < count; i++) {
		if (lists[i]->place != place)
			continue;
		buffer_append_char(out, ',');
		worst_write_list(out, lists[i], bytes / count);
	}
}

/* A review of about so many bytes, shared by the lists; every list once. */
static inline void worst_review(struct buffer *out, const struct worst_list *const *lists,
                                size_t count, size_t bytes)
{
	buffer_append_text(out,
	                   "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\","
	                   "\"request\":{\"uid\":\"u\",\"operation\":\"CREATE\",\"resource\":"
	                   "{\"group\":\"\",\"version\":\"v1\",\"resource\":\"pods\"},"
	                   "\"namespace\":\"n\",\"object\":{\"metadata\":{\"labels\":{"
	                   "\"app.kubernetes.io/component\":\"agent\"");
	worst_write_place(out, WORST_LABELS, lists, count, bytes);
	buffer_append_text(out, "},\"annotations\":{\"a\":\"\"");
	worst_write_place(out, WORST_ANNOTATIONS, lists, count, bytes);
	buffer_append_text(out, "}");
	worst_write_place(out, WORST_METADATA, lists, count, bytes);
	buffer_append_text(out, "},\"spec\":{\"restartPolicy\":\"Never\"");
	worst_write_place(out, WORST_SPEC, lists, count, bytes);
	buffer_append_text(out, ",\"containers\":[{\"name\":\"agent\"");
	worst_write_place(out, WORST_CONTAINER, lists, count, bytes);
	buffer_append_text(out, ",\"resources\":{\"limits\":{\"a\":1");
	worst_write_place(out, WORST_LIMITS, lists, count, bytes);
	buffer_append_text(out, "},\"requests\":{\"a\":1");
	worst_write_place(out, WORST_REQUESTS, lists, count, bytes);
	buffer_append_text(out, "}}}");
	worst_write_place(out, WORST_CONTAINERS, lists, count, bytes);
	buffer_append_text(out, "]}}}}");
}

#endif
