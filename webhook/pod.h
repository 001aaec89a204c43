/*
 * pod: reads facts out of a pod (or pod template) as Kubernetes defines them. Pure; everything
 * returned belongs to the pod's tree. What is missing or of a wrong type is NULL, false, or the
 * value that Kubernetes would default to.
 */
#ifndef LASTWORD_WEBHOOK_POD_H
#define LASTWORD_WEBHOOK_POD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/document/json.h"

static inline const char *pod_annotation(const json *pod, const char *key)
{
	return json_get_string(json_get_in(pod, "metadata", "annotations"), key);
}
static inline const char *pod_label(const json *pod, const char *key)
{
	return json_get_string(json_get_in(pod, "metadata", "labels"), key);
}

/* The regular container (or init container) of that name; *ret_index only when found. */
json *pod_container(const json *pod, const char *name, size_t *ret_index);
json *pod_init_container(const json *pod, const char *name);
json *pod_volume(const json *pod, const char *name);

/* A container's name is a DNS label (RFC 1123). */
#define CONTAINER_NAME_MAX 63

/* Always, OnFailure or Never. */
const char *pod_restart_policy(const json *pod);
/* 0 to GRACE_SECONDS_MAX, Kubernetes' own default when the pod does not say; the API server takes
 * more, but nobody waits for it. */
int64_t pod_grace_seconds(const json *pod);
#define GRACE_SECONDS_DEFAULT 30
#define GRACE_SECONDS_MAX     INT32_MAX
/* By spec.os, node selector, required node affinity, or options that only Windows has. */
bool pod_is_windows(const json *pod);
/* The owner reference that controls the pod; NULL when there is none. */
const json *pod_controller(const json *pod);

/* Guaranteed, as the kubelet computes it: every container but ours has limits for CPU and memory,
 * and requests that are absent or equal. */
bool pod_is_guaranteed(const json *pod);

/* Which of the 64 ids from first on the pod uses as a uid or gid, our own containers aside: a bit
 * for each, the lowest for first. Reads the pod once, however many ids it lists. */
uint64_t pod_used_ids(const json *pod, int64_t first);

/* Bytes of annotation keys and values, as the API server counts them against 256 KiB. */
size_t pod_annotations_size(const json *pod);
#define POD_ANNOTATIONS_SIZE_MAX ((size_t)256 * 1024)

/* A container is ours by its name and what it runs, whoever wrote it. */
bool container_is_watchdog(const json *container);
bool container_is_install(const json *container);
/* The container runs the shim, directly or through another program. */
bool container_is_wrapped(const json *container);
/* The container's preStop hook is the shim's flush command. */
bool container_has_flush(const json *container);
/* The container mounts our volume as the webhook would mount it. */
bool container_has_mount(const json *container);
/* The container mounts something else, or has a device, at, below or above PATH_MOUNT, in whatever
 * spelling of the path. */
bool container_mount_is_taken(const json *container);
/* The volume is as the webhook makes it: memory of SHIM_VOLUME_SIZE, or an image volume of that
 * image. */
bool volume_is_ours(const json *volume, const char *image);
#define SHIM_VOLUME_SIZE "1Mi"

/* The text escaped so that it is one word of a command after the kubelet's expansion: the kubelet
 * expands $(NAME) and takes $$ for $ (k8s.io/kubernetes/third_party/forked/golang/expansion).
 * Returns the text itself when there is no $ in it, NULL when the arena is full. */
const char *kubelet_literal(struct arena *arena, const char *text);

/* An array of at least one string and nothing else. */
bool is_string_array(const json *array);

#endif
