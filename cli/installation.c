#include "cli/installation.h"

#include <string.h>

#define DEPLOYMENT_MAX ((size_t)16 * 1024 * 1024)

const json *installation_deployment(const struct kubectl *kubectl, const char *namespace,
                                    const char *name, struct arena *arena, struct error *error)
{
	const char *path =
	        arena_printf(arena, "/apis/apps/v1/namespaces/%s/deployments/%s", namespace, name);
	if (path == NULL) {
		error_set(error, "no memory");
		return NULL;
	}
	return kubectl_get_json(kubectl, path, DEPLOYMENT_MAX, arena, error);
}

static const json *first_container(const json *deployment)
{
	return json_first(json_find(deployment, "spec", "template", "spec", "containers", NULL));
}

const char *installation_image(const json *deployment)
{
	return json_get_string_or(first_container(deployment), "image", "");
}

const char *installation_flag(const json *deployment, const char *flag)
{
	const json *args = json_get(first_container(deployment), "args");
	const char *value = NULL;
	for (const json *n = json_first(args); n != NULL; n = json_next(n)) {
		const char *text = json_string(n);
		if (text != NULL && strncmp(text, flag, strlen(flag)) == 0)
			value = text + strlen(flag);
	}
	return value;
}

const char *installation_watchdog_image(const json *webhook)
{
	const char *image = installation_flag(webhook, "--watchdog-image=");
	if (image == NULL || image[0] != '$')
		return image == NULL ? "" : image;
	/* $(NAME): the kubelet puts the variable there. */
	const json *env = json_get(first_container(webhook), "env");
	for (const json *n = json_first(env); n != NULL; n = json_next(n)) {
		const char *name = json_get_string_or(n, "name", "");
		if (strlen(image) == strlen(name) + 3 &&
		    strncmp(image + 2, name, strlen(name)) == 0)
			return json_get_string_or(n, "value", "");
	}
	return "";
}

const char *installation_version(struct arena *arena, const char *image)
{
	const char *slash = strrchr(image, '/');
	const char *name = slash == NULL ? image : slash;
	const char *colon = memchr(name, ':', strcspn(name, "@"));
	if (colon == NULL)
		return "";
	colon += 1 + (colon[1] == 'v');
	return arena_copy(arena, colon, strcspn(colon, "@"));
}
