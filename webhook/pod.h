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

#include "lib/json.h"

const char *pod_annotation(const json *pod, const char *key);
const char *pod_label(const json *pod, const char *key);

/* The regular container (or init container) of that name; *ret_index only when found. */
json *pod_container(const json *pod, const char *name, size_t *ret_index);
json *pod_init_container(const json *pod, const char *name);
json *pod_volume(const json *pod, const char *name);

/* Always, OnFailure or Never. */
const char *pod_restart_policy(const json *pod);
int64_t pod_grace_seconds(const json *pod);
/* spec.os, or the well-known node selector of pods older than it. */
bool pod_is_windows(const json *pod);
/* The owner reference that controls the pod; NULL when there is none. */
const json *pod_controller(const json *pod);

/* Guaranteed, as the kubelet computes it: every container but ours has limits for CPU and memory,
 * and requests that are absent or equal. */
bool pod_is_guaranteed(const json *pod);

/* The uid or gid is used anywhere in the pod by a container that is not ours. */
bool pod_uses_id(const json *pod, int64_t id);

/* Bytes of annotation keys and values, as the API server counts them against 256 KiB. */
size_t pod_annotations_size(const json *pod);
#define POD_ANNOTATIONS_SIZE_MAX ((size_t)256 * 1024)

/* A container of that name is ours by what it runs, whoever wrote it. */
bool container_is_watchdog(const json *container);
bool container_is_install(const json *container);
/* Its command is the shim's run. */
bool container_is_wrapped(const json *container);
/* Its preStop hook is the shim's flush. */
bool container_has_flush(const json *container);
/* Its mount of our volume is as we make it. */
bool container_has_mount(const json *container);
bool volume_is_ours(const json *volume);

/* The text as one word of a command that the kubelet leaves as it is: it expands $(NAME) there, and
 * takes a doubled $ for one (k8s.io/kubernetes/third_party/forked/golang/expansion). The text
 * itself when there is no $ in it; NULL when the arena is full. */
const char *kubelet_literal(struct arena *arena, const char *text);

/* The array's element at index is the string text. */
bool array_string_is(const json *array, size_t index, const char *text);
/* An array of at least one string and nothing else. */
bool is_string_array(const json *array);

#endif
