#include "cli/kubectl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"

#define OUTPUT_MAX     ((size_t)16 * 1024)
#define ARGUMENTS_MAX  24
#define NAMESPACE_FILE "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

static const char *program(void)
{
	const char *named = getenv("KUBECTL");
	return named == NULL || named[0] == '\0' ? "kubectl" : named;
}

/* ---- Requests ---- */

static bool append_output(void *context, const char *bytes, size_t length)
{
	struct buffer *output = context;
	buffer_append(output, bytes, length);
	return buffer_ok(output);
}

static bool run(const struct kubectl *kubectl, const char *const *arguments, struct buffer *output,
                struct error *error)
{
	const struct child_output whole = {append_output, output, kubectl->interrupt, -1};
	enum child_end end;
	if (!child_run(arguments, &whole, &end, error))
		return false;
	if (end == CHILD_INTERRUPTED)
		return error_set(error, "%s was interrupted", program());
	if (!buffer_ok(output))
		return error_set(error, "%s: expected a response of at most %zu bytes", program(),
		                 output->limit);
	return true;
}

static size_t begin_arguments(const struct kubectl *kubectl, const char *arguments[ARGUMENTS_MAX])
{
	size_t count = 0;
	arguments[count++] = program();
	if (kubectl->kubeconfig != NULL) {
		arguments[count++] = "--kubeconfig";
		arguments[count++] = kubectl->kubeconfig;
	}
	if (kubectl->context != NULL) {
		arguments[count++] = "--context";
		arguments[count++] = kubectl->context;
	}
	if (kubectl->timeout != NULL) {
		arguments[count++] = "--request-timeout";
		arguments[count++] = kubectl->timeout;
	}
	return count;
}

static void make_raw(const struct kubectl *kubectl, const char *path,
                     const char *arguments[ARGUMENTS_MAX])
{
	size_t count = begin_arguments(kubectl, arguments);
	arguments[count++] = "get";
	arguments[count++] = "--raw";
	arguments[count] = path;
}

bool kubectl_get_raw(const struct kubectl *kubectl, const char *path, struct buffer *body,
                     struct error *error)
{
	const char *arguments[ARGUMENTS_MAX] = {NULL};
	make_raw(kubectl, path, arguments);
	return run(kubectl, arguments, body, error);
}

bool kubectl_follow_raw(const struct kubectl *kubectl, const char *path,
                        const struct child_output *output, enum child_end *ret_end,
                        struct error *error)
{
	const char *arguments[ARGUMENTS_MAX] = {NULL};
	make_raw(kubectl, path, arguments);
	return child_run(arguments, output, ret_end, error);
}

json *kubectl_get_json(const struct kubectl *kubectl, const char *path, size_t most,
                       struct arena *arena, struct error *error)
{
	struct buffer _cleanup_buffer_ body;
	json *root;
	buffer_init(&body, most);
	if (!kubectl_get_raw(kubectl, path, &body, error))
		return NULL;
	if (json_parse(arena, buffer_text(&body), body.length, JSON_KEEP_NUMBERS, &root, error) !=
	    JSON_INVALID)
		return root;
	error_wrap(error, "the response to %s", path);
	return NULL;
}

bool kubectl_patch_config_map(const struct kubectl *kubectl, const char *namespace,
                              const char *name, const char *patch, struct error *error)
{
	const char *arguments[ARGUMENTS_MAX] = {NULL};
	struct buffer _cleanup_buffer_ output;
	size_t count = begin_arguments(kubectl, arguments);
	buffer_init(&output, OUTPUT_MAX);
	arguments[count++] = "patch";
	arguments[count++] = "configmap";
	arguments[count++] = name;
	arguments[count++] = "--namespace";
	arguments[count++] = namespace;
	arguments[count++] = "--type=merge";
	arguments[count++] = "--output=name";
	arguments[count++] = "--patch";
	arguments[count] = patch;
	return run(kubectl, arguments, &output, error);
}

bool kubectl_try_pod(const struct kubectl *kubectl, const char *namespace, const char *name,
                     const char *labels, struct buffer *ret_pod, struct error *error)
{
	const char *arguments[ARGUMENTS_MAX] = {NULL};
	size_t count = begin_arguments(kubectl, arguments);
	arguments[count++] = "run";
	arguments[count++] = name;
	arguments[count++] = "--namespace";
	arguments[count++] = namespace;
	arguments[count++] = "--image";
	arguments[count++] = name;
	arguments[count++] = "--labels";
	arguments[count++] = labels;
	arguments[count++] = "--restart=Never";
	arguments[count++] = "--dry-run=server";
	arguments[count++] = "--output=json";
	arguments[count++] = "--command";
	arguments[count++] = "--";
	arguments[count] = "true";
	return run(kubectl, arguments, ret_pod, error);
}

bool kubectl_contexts(const struct kubectl *kubectl, struct buffer *names, struct error *error)
{
	const char *arguments[ARGUMENTS_MAX] = {NULL};
	size_t count = begin_arguments(kubectl, arguments);
	arguments[count++] = "config";
	arguments[count++] = "get-contexts";
	arguments[count] = "--output=name";
	return run(kubectl, arguments, names, error);
}

/* In a pod kubectl takes the service account's; without any configuration there is "default". */
static void append_fallback(struct buffer *name)
{
	char text[64] = "";
	FILE *file = fopen(NAMESPACE_FILE, "re");
	if (file != NULL) {
		if (fgets(text, sizeof text, file) == NULL)
			text[0] = '\0';
		fclose(file);
	}
	text[strcspn(text, "\r\n")] = '\0';
	buffer_append_text(name, text[0] == '\0' ? "default" : text);
}

void kubectl_namespace(const struct kubectl *kubectl, struct buffer *name)
{
	const char *arguments[ARGUMENTS_MAX] = {NULL};
	size_t count = begin_arguments(kubectl, arguments);
	size_t before = name->length;
	arguments[count++] = "config";
	arguments[count++] = "view";
	arguments[count++] = "--minify"; /* fails where there is no context */
	arguments[count] = "--output=jsonpath={.contexts[0].context.namespace}";
	if (!run(kubectl, arguments, name, NULL))
		buffer_truncate(name, before);
	buffer_truncate(name, before + strcspn(buffer_text(name) + before, "\r\n"));
	if (name->length == before)
		append_fallback(name);
}
