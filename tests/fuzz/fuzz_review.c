/* An AdmissionReview's bytes. The answer to anything is a 4xx text or an allowing review, and a
 * pod that got a patch needs none a second time. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "webhook/admission.h"

static const char config_text[] =
        "apiVersion: lastword.dev/v1alpha1\n"
        "kind: Config\n"
        "sidecar:\n"
        "  image: w\n"
        "  mode: native\n"
        "  resources: {requests: {cpu: 5m, memory: 16Mi}, limits: {cpu: 50m, memory: 16Mi}}\n"
        "  imagePullSecrets: [registry]\n"
        "  skipAnnotations: [eks.amazonaws.com/skip-containers, "
        "azure.workload.identity/skip-containers]\n"
        "  extra: {livenessProbe: {exec: {command: [/shim, flush, --ping]}, periodSeconds: 60},\n"
        "          env: [{name: A, value: b}]}\n"
        "automaticDefaultContainers: [sidecar.istio.io/status]\n"
        "parsedTerminationMessages: [/tekton/*]\n"
        "knownSidecars: [istio-proxy]\n"
        "initSystems: [/init, systemd, '*busybox init']\n"
        "context: {task_id: label:task-id, repository: env:REPOSITORY}\n"
        "images: [{image: '*', entrypoint: [/x]}]\n"
        "rules:\n"
        "- name: all\n"
        "  resources: {requests: {memory: 1Mi}, limits: {memory: 1Gi}}\n"
        "  deadline: 1h\n";

static struct config *config;
static struct arena *arena;

static void setup(void)
{
	struct error error;
	if (config != NULL)
		return;
	if (!config_parse(config_text, sizeof config_text - 1, &config, &error))
		abort();
	arena = arena_new(ADMISSION_ARENA_MAX);
	if (arena == NULL)
		abort();
}

static void check_response(const struct admission_response *response)
{
	if (response->status == 400)
		return;
	struct arena *own = arena_new(ADMISSION_ARENA_MAX);
	json *root = NULL;
	if (response->status != 200 || own == NULL ||
	    json_parse(own, buffer_text(&response->body), response->body.length, 0, &root, NULL) !=
	            JSON_FAITHFUL ||
	    !json_is_true(json_find(root, "response", "allowed", NULL)))
		abort();
	const char *patch = json_string(json_find(root, "response", "patch", NULL));
	struct buffer text;
	buffer_init(&text, ADMISSION_RESPONSE_MAX);
	if (patch != NULL &&
	    (!base64_decode(&text, patch, strlen(patch)) ||
	     json_parse(own, buffer_text(&text), text.length, 0, &root, NULL) != JSON_FAITHFUL))
		abort();
	buffer_free(&text);
	arena_free(own);
}

/* The pod is patched in place by the first pass: a second one finds nothing to do. */
static void check_idempotence(const uint8_t *data, size_t size)
{
	json *root;
	struct admission_context context = {.config = config};
	arena_reset(arena);
	if (json_parse(arena, (const char *)data, size, 0, &root, NULL) != JSON_FAITHFUL)
		return;
	json *pod = json_find(root, "request", "object", NULL);
	if (!json_is_object(pod))
		return;
	struct injection injection;
	injection_make(&context, "default", arena, pod, &injection);
	if (injection.result != ADMISSION_INJECTED)
		return;
	injection_make(&context, "default", arena, pod, &injection);
	if (injection.patch.count > 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	setup();
	struct admission_context context = {.config = config};
	struct admission_response response;
	buffer_init(&response.body, ADMISSION_RESPONSE_MAX);
	arena_reset(arena);
	admission_review(&context, arena, (const char *)data, size, &response);
	check_response(&response);
	buffer_free(&response.body);
	check_idempotence(data, size);
	return 0;
}
