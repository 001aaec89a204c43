#include "webhook/sidecar_config.h"

#include <string.h>

#include "lib/document/quantity.h"

#define RING_SIZE_DEFAULT (INT64_C(64) * 1024)
#define RING_SIZE_MIN     (INT64_C(4) * 1024)
#define RING_SIZE_MAX     (INT64_C(4) * 1024 * 1024)
#define TAIL_SIZE_DEFAULT (INT64_C(4) * 1024)
#define TAIL_SIZE_MAX     (INT64_C(8) * 1024) /* a report line stays below 16 KiB, escaped */
#define USER_DEFAULT      65511

const char *const resource_names[RESOURCE_COUNT] = {
        [RESOURCE_CPU] = "cpu",
        [RESOURCE_MEMORY] = "memory",
        [RESOURCE_EPHEMERAL_STORAGE] = "ephemeral-storage",
};

static bool decode_ring_size(struct decoder *decoder, const json *node, const char *path,
                             void *target)
{
	return decode_size(decoder, node, path, RING_SIZE_MIN, RING_SIZE_MAX, target);
}

static bool decode_tail_size(struct decoder *decoder, const json *node, const char *path,
                             void *target)
{
	return decode_size(decoder, node, path, 0, TAIL_SIZE_MAX, target);
}

static bool decode_amounts(struct decoder *decoder, const json *node, const char *path,
                           void *target)
{
	const char **amounts = target;
	if (!json_is_object(node))
		return decode_fail(decoder, node, path, "expected a mapping, got %.100s",
		                   decode_shown(node));
	for (const json *n = json_first(node); n != NULL; n = json_next(n)) {
		size_t i = 0;
		while (i < RESOURCE_COUNT && strcmp(resource_names[i], json_key(n)) != 0)
			i++;
		if (i == RESOURCE_COUNT)
			return decode_fail(
			        decoder, n, path,
			        "unknown resource \"%.100s\", expected one of cpu, memory, "
			        "ephemeral-storage",
			        json_key(n));
		if (!decode_quantity(decoder, n, decode_join(decoder, path, resource_names[i]),
		                     &amounts[i]))
			return false;
	}
	return true;
}

bool decode_resources(struct decoder *decoder, const json *node, const char *path, void *target)
{
	static const struct field fields[] = {
	        {"requests", decode_amounts, offsetof(struct resources, requests), false},
	        {"limits", decode_amounts, offsetof(struct resources, limits), false},
	};
	struct resources resources = {0};
	if (!decode_fields(decoder, node, path, fields, COUNT(fields), &resources))
		return false;
	for (size_t i = 0; i < RESOURCE_COUNT; i++) {
		struct quantity limit;
		struct quantity request;
		if (resources.limits[i] != NULL && resources.requests[i] != NULL &&
		    quantity_parse(resources.limits[i], &limit, NULL) &&
		    quantity_parse(resources.requests[i], &request, NULL) &&
		    quantity_compare(&limit, &request) < 0)
			return decode_fail(decoder, node, path,
			                   "the limit of %s (%s) is below its request (%s)",
			                   resource_names[i], resources.limits[i],
			                   resources.requests[i]);
	}
	*(struct resources *)target = resources;
	return true;
}

static bool decode_mode(struct decoder *decoder, const json *node, const char *path, void *target)
{
	static const struct choice choices[] = {
	        {"auto", SIDECAR_AUTO}, {"native", SIDECAR_NATIVE}, {"classic", SIDECAR_CLASSIC}};
	int value = 0;
	if (!decode_choice(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(enum sidecar_mode *)target = (enum sidecar_mode)value;
	return true;
}

static bool decode_shim_source(struct decoder *decoder, const json *node, const char *path,
                               void *target)
{
	static const struct choice choices[] = {{"emptyDir", SHIM_EMPTY_DIR},
	                                        {"image", SHIM_IMAGE}};
	int value = 0;
	if (!decode_choice(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(enum shim_source *)target = (enum shim_source)value;
	return true;
}

static bool decode_pull_policy(struct decoder *decoder, const json *node, const char *path,
                               void *target)
{
	static const struct choice choices[] = {{"Always", 0}, {"IfNotPresent", 0}, {"Never", 0}};
	int value = 0;
	if (!decode_choice(decoder, node, path, choices, COUNT(choices), &value))
		return false;
	*(const char **)target = json_string(node);
	return true;
}

/* A uid, or who chooses it. */
static bool decode_user(struct decoder *decoder, const json *node, const char *path, void *target)
{
	struct sidecar_config *sidecar = target;
	int64_t user;
	sidecar->user_auto = json_string_is(node, "auto");
	if (json_string_is(node, "none"))
		sidecar->user = -1;
	else if (json_integer(node, &user) && user >= 1 && user <= INT32_MAX)
		sidecar->user = user;
	else if (!sidecar->user_auto)
		return decode_fail(decoder, node, path,
		                   "expected auto, a uid of 1 or more, or none, got %.100s",
		                   decode_shown(node));
	return true;
}

/* Names as Kubernetes has them for objects; no more than these many. */
static bool decode_secrets(struct decoder *decoder, const json *node, const char *path,
                           void *target)
{
	enum { SECRETS_MAX = 8 };
	if (!decode_list(decoder, node, path, target))
		return false;
	if (((const struct strings *)target)->count > SECRETS_MAX)
		return decode_fail(decoder, node, path, "expected at most %d names", SECRETS_MAX);
	return true;
}

static bool is_probe(const json *node)
{
	return json_is_object(node) && json_first(node) != NULL;
}

/* Variables with a value of their own; ours tell the watchdog which pod it is in. */
static bool is_environment(const json *node)
{
	if (!json_is_array(node))
		return false;
	for (const json *n = json_first(node); n != NULL; n = json_next(n)) {
		const char *name = json_get_string(n, "name");
		if (name == NULL || name[0] == '\0' || strncmp(name, "LASTWORD_", 9) == 0 ||
		    json_get_string(n, "value") == NULL || json_size(n) != 2)
			return false;
	}
	return true;
}

/* A fragment of a container, for policies that want it of all containers. What the webhook decides
 * itself (image, command, security context, resources, mounts, lifecycle) is not in it. */
static bool decode_extra(struct decoder *decoder, const json *node, const char *path, void *target)
{
	static const struct {
		const char *key;
		bool (*is)(const json *node);
		const char *expected;
	} members[] = {
	        {"livenessProbe", is_probe, "a probe"},
	        {"readinessProbe", is_probe, "a probe"},
	        {"startupProbe", is_probe, "a probe"},
	        {"env", is_environment,
	         "a list of name and value, no name beginning with LASTWORD_"},
	        {"terminationMessagePath", json_is_string, "a path"},
	        {"terminationMessagePolicy", json_is_string, "a policy"},
	};
	if (!json_is_object(node))
		return decode_fail(decoder, node, path, "expected a mapping, got %.100s",
		                   decode_shown(node));
	for (const json *n = json_first(node); n != NULL; n = json_next(n)) {
		size_t i = 0;
		while (i < COUNT(members) && strcmp(members[i].key, json_key(n)) != 0)
			i++;
		if (i == COUNT(members))
			return decode_fail(decoder, n, path,
			                   "unknown key \"%.100s\", expected one of livenessProbe, "
			                   "readinessProbe, startupProbe, env, "
			                   "terminationMessagePath, terminationMessagePolicy",
			                   json_key(n));
		if (!members[i].is(n))
			return decode_fail(decoder, n, decode_join(decoder, path, json_key(n)),
			                   "expected %s", members[i].expected);
	}
	*(const json **)target = node;
	return true;
}

bool decode_sidecar(struct decoder *decoder, const json *node, const char *path, void *target)
{
	static const struct field fields[] = {
	        {"image", decode_text, offsetof(struct sidecar_config, image), false},
	        {"imagePullPolicy", decode_pull_policy,
	         offsetof(struct sidecar_config, image_pull_policy), false},
	        {"mode", decode_mode, offsetof(struct sidecar_config, mode), false},
	        {"shim", decode_shim_source, offsetof(struct sidecar_config, shim), false},
	        {"resources", decode_resources, offsetof(struct sidecar_config, resources), true},
	        {"user", decode_user, 0, false},
	        {"imagePullSecrets", decode_secrets,
	         offsetof(struct sidecar_config, image_pull_secrets), false},
	        {"extra", decode_extra, offsetof(struct sidecar_config, extra), false},
	        {"skipAnnotations", decode_list, offsetof(struct sidecar_config, skip_annotations),
	         false},
	        {"ringSize", decode_ring_size, offsetof(struct sidecar_config, ring_size), false},
	        {"tailSize", decode_tail_size, offsetof(struct sidecar_config, tail_size), false},
	        {"startTimeout", decode_duration, offsetof(struct sidecar_config, start_timeout),
	         false},
	};
	struct sidecar_config *sidecar = target;
	sidecar->user = USER_DEFAULT;
	sidecar->user_auto = true;
	sidecar->ring_size = RING_SIZE_DEFAULT;
	sidecar->tail_size = TAIL_SIZE_DEFAULT;
	if (!decode_fields(decoder, node, path, fields, COUNT(fields), sidecar))
		return false;
	sidecar->image_is_default = sidecar->image == NULL;
	if (sidecar->image_is_default)
		sidecar->image = WATCHDOG_IMAGE_DEFAULT;
	/* A quota or a Guaranteed pod asks for all four. */
	for (size_t i = 0; i <= RESOURCE_MEMORY; i++)
		if (sidecar->resources.requests[i] == NULL || sidecar->resources.limits[i] == NULL)
			return decode_fail(
			        decoder, json_get(node, "resources"), path,
			        "expected requests and limits of cpu and memory in resources");
	return true;
}
