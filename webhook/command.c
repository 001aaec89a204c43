#include "webhook/command.h"

#include <string.h>

#include "lib/base/glob.h"
#include "lib/kube/names.h"
#include "webhook/image_cache.h"
#include "webhook/init_system.h"
#include "webhook/options.h"
#include "webhook/pod.h"
#include "webhook/patterns.h"

static enum reason pod_obstacle(const struct policy_input *input, const struct plan *plan)
{
	const json *spec = json_get(input->pod, "spec");
	if (pod_is_windows(input->pod))
		return REASON_WINDOWS;
	if (json_is_true(json_get(spec, "hostNetwork")))
		return REASON_HOST_NETWORK;
	const char *runtime_class = json_get_string(spec, "runtimeClassName");
	if (runtime_class != NULL && !matches_any(&input->config->runtime_classes, runtime_class))
		return REASON_RUNTIME_CLASS;
	if (options_shim_off(input->pod, plan->rule))
		return REASON_SHIM_OFF;
	return REASON_APPLIED;
}

static bool is_localhost_profile(const json *security_context, const char *profile)
{
	return json_string_is(json_get_in(security_context, profile, "type"), "Localhost");
}

/* A profile from the node's files may forbid what the shim does, or kill it. */
static bool has_localhost_profile(const json *pod, const json *container)
{
	static const char *const profiles[] = {"seccompProfile", "appArmorProfile"};
	const json *pod_context = json_get_in(pod, "spec", "securityContext");
	const json *own_context = json_get(container, "securityContext");
	for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++)
		if (is_localhost_profile(own_context, profiles[i]) ||
		    (json_get(own_context, profiles[i]) == NULL &&
		     is_localhost_profile(pod_context, profiles[i])))
			return true;

	return false;
}

/* Before Kubernetes 1.30 an annotation for each container names its AppArmor profile. */
static void mark_localhost_profiles(struct wrapping *wrapping)
{
	static const char prefix[] = "container.apparmor.security.beta.kubernetes.io/";
	const json *annotations = json_get_in(wrapping->input->pod, "metadata", "annotations");
	for (const json *n = json_first(annotations); n != NULL; n = json_next(n)) {
		const char *key = json_key(n);
		const char *value = json_string(n);
		size_t position;
		if (strncmp(key, prefix, sizeof prefix - 1) == 0 && value != NULL &&
		    strncmp(value, "localhost/", 10) == 0 &&
		    container_index_find(wrapping->index, key + sizeof prefix - 1,
		                         strlen(key + sizeof prefix - 1), &position))
			wrapping->localhost_profile[position] = true;
	}
}

/* A watchdog that is already in the pod serves only the containers that its flags name. */
static void mark_watched(struct wrapping *wrapping)
{
	const json *command = json_get(wrapping->watchdog, "command");
	for (const json *n = json_first(command); n != NULL; n = json_next(n)) {
		const char *value =
		        json_string_is(n, "--container") ? json_string(json_next(n)) : NULL;
		size_t position;
		if (value != NULL &&
		    container_index_find(wrapping->index, value, strcspn(value, "="), &position))
			wrapping->watched[position] = true;
	}
}

bool command_prepare(struct wrapping *wrapping)
{
	const json *pod = wrapping->input->pod;
	size_t size = (wrapping->index->count + 1) * sizeof(bool);
	wrapping->localhost_profile = arena_allocate(wrapping->arena, size);
	wrapping->watched = arena_allocate(wrapping->arena, size);
	if (wrapping->localhost_profile == NULL || wrapping->watched == NULL)
		return false;
	wrapping->obstacle = pod_obstacle(wrapping->input, wrapping->plan);
	wrapping->annotated = pod_annotation(pod, KEY_PREFIX "command") != NULL;
	mark_localhost_profiles(wrapping);
	if (wrapping->watchdog != NULL)
		mark_watched(wrapping);
	return true;
}

static bool append_escaped(struct arena *arena, struct strings *list, const struct strings *more)
{
	for (size_t i = 0; i < more->count; i++) {
		const char *escaped = kubelet_literal(arena, more->items[i]);
		if (escaped == NULL)
			return false;
		list->items[list->count++] = escaped;
	}
	return true;
}

static const struct image_command *find_image(const struct config *config, const char *image)
{
	if (image == NULL)
		return NULL;
	json_work_add(config->image_count * (1 + strlen(image) / 16));
	for (size_t i = 0; i < config->image_count && json_work_left() > 0; i++)
		if (glob_match(config->images[i].image, image))
			return &config->images[i];
	return NULL;
}

/* What the image runs, from the configuration or else from its registry. */
static bool image_command(const struct wrapping *wrapping, const char *image,
                          struct strings *ret_entrypoint, struct strings *ret_cmd)
{
	const struct policy_input *input = wrapping->input;
	const struct image_command *found = find_image(input->config, image);
	if (found != NULL) {
		*ret_entrypoint = found->entrypoint;
		*ret_cmd = found->cmd;
		return true;
	}
	return image != NULL && input->images != NULL && image_cache_takes(image) &&
	       matches_any(&input->config->resolve_images, image) &&
	       image_cache_find(input->images, wrapping->arena, input->namespace, image,
	                        ret_entrypoint, ret_cmd);
}

/* The command of a container that names none: from the annotation, or from its image. */
static bool unnamed_command(const struct wrapping *wrapping, const json *container,
                            struct strings *ret_command)
{
	struct arena *arena = wrapping->arena;
	struct strings entrypoint = {0};
	struct strings cmd = {0};
	if (!wrapping->only_one && wrapping->annotated)
		plan_warn(arena, wrapping->plan,
		          "lastword: annotation lastword.dev/command ignored: more than one agent "
		          "container names no command");
	if (!wrapping->only_one ||
	    !options_command(arena, wrapping->input->pod, wrapping->plan, &entrypoint)) {
		if (!image_command(wrapping, json_get_string(container, "image"), &entrypoint,
		                   &cmd))
			return false;
		if (json_size(json_get(container, "args")) > 0)
			cmd.count = 0;
	}

	struct strings command = {.items = arena_allocate(arena, (entrypoint.count + cmd.count +
	                                                          1) * sizeof(char *))};
	if (command.items == NULL || !append_escaped(arena, &command, &entrypoint) ||
	    !append_escaped(arena, &command, &cmd) || command.count == 0)
		return false;
	*ret_command = command;
	return true;
}

static bool named_command(struct arena *arena, const json *command, struct strings *ret_command)
{
	struct strings list = {.items = arena_allocate(arena, json_size(command) * sizeof(char *))};
	if (list.items == NULL || !is_string_array(command))
		return false;
	for (const json *n = json_first(command); n != NULL; n = json_next(n))
		list.items[list.count++] = json_string(n);
	*ret_command = list;
	return true;
}

/* The first words of a command and of the container's args after it: as many as init_system.h could
 * want to look at. */
static bool with_arguments(struct arena *arena, const struct strings *command, const json *args,
                           struct strings *ret_words)
{
	enum { WORDS_MAX = 256 };
	struct strings words = {.items = arena_allocate(arena, WORDS_MAX * sizeof(char *))};
	if (words.items == NULL)
		return false;
	for (size_t i = 0; i < command->count && words.count < WORDS_MAX; i++)
		words.items[words.count++] = command->items[i];
	for (const json *n = json_first(args); n != NULL && words.count < WORDS_MAX;
	     n = json_next(n))
		if (json_is_string(n))
			words.items[words.count++] = json_string(n);
	*ret_words = words;
	return true;
}

bool command_is_missing(const json *container)
{
	return json_size(json_get(container, "command")) == 0;
}

enum reason command_decide(const struct wrapping *wrapping, const json *container, size_t position,
                           struct strings *ret_command)
{
	if (wrapping->obstacle != REASON_APPLIED)
		return wrapping->obstacle;
	if (container_is_wrapped(container))
		return REASON_ALREADY;
	if (json_is_true(json_get(container, "tty")))
		return REASON_TTY;
	if (wrapping->localhost_profile[position] ||
	    has_localhost_profile(wrapping->input->pod, container))
		return REASON_SECURITY_PROFILE;
	if (container_mount_is_taken(container))
		return REASON_MOUNT_TAKEN;
	if (!wrapping->plan->native && json_size(json_get(container, "restartPolicyRules")) > 0)
		return REASON_RESTART_RULES;
	if (wrapping->watchdog != NULL && !wrapping->watched[position])
		return REASON_WATCHDOG_PRESENT;

	struct strings command;
	bool known =
	        command_is_missing(container)
	                ? unnamed_command(wrapping, container, &command)
	                : named_command(wrapping->arena, json_get(container, "command"), &command);
	if (!known)
		return REASON_NO_COMMAND;
	struct strings words = {0};
	if (!with_arguments(wrapping->arena, &command, json_get(container, "args"), &words) ||
	    init_system_runs(&wrapping->input->config->init_systems, &words))
		return REASON_INIT_SYSTEM;
	*ret_command = command;
	return REASON_APPLIED;
}
