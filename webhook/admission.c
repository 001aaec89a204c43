#include "webhook/admission.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/json_write.h"
#include "webhook/mutate.h"
#include "lib/kube/names.h"
#include "webhook/pod.h"
#include "webhook/record.h"
#include "webhook/verify.h"

#define API_VERSION "admission.k8s.io/v1"
/* Bytes that nearly all responses fit into. */
#define RESPONSE_USUAL ((size_t)8 * 1024 - 1)

const char *admission_result_name(enum admission_result result)
{
	static const char *const names[ADMISSION_RESULT_COUNT] = {
	        [ADMISSION_INJECTED] = "injected",
	        [ADMISSION_UNCHANGED] = "unchanged",
	        [ADMISSION_SHADOW] = "shadow",
	        [ADMISSION_SKIPPED] = "skipped",
	        [ADMISSION_UNMATCHED] = "unmatched",
	        [ADMISSION_IGNORED] = "ignored",
	        [ADMISSION_VERIFICATION_FAILED] = "verification-failed",
	        [ADMISSION_INVALID] = "invalid",
	};
	return names[result];
}

/* ---- The injection ---- */

static const char *write_record(struct arena *arena, const struct plan *plan,
                                const struct config *config, enum reason annotated)
{
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, ADMISSION_RESPONSE_MAX);
	record_write(plan, config, annotated, &text);
	return buffer_ok(&text) ? arena_copy(arena, buffer_text(&text), text.length) : NULL;
}

/* The pod has room for the status annotation, and for our names in other annotations. */
static bool annotations_fit(const struct config *config, const json *pod, const char *record)
{
	const struct strings *skipped = &config->sidecar.skip_annotations;
	size_t ours = sizeof KEY_STATUS + strlen(record) + sizeof KEY_SAFE_TO_EVICT +
	              sizeof NAME_VOLUME + 1;
	for (size_t i = 0; i < skipped->count; i++)
		ours += strlen(skipped->items[i]) + sizeof NAME_WATCHDOG + sizeof NAME_INSTALL + 1;
	return pod_annotations_size(pod) + ours <= POD_ANNOTATIONS_SIZE_MAX;
}

static enum admission_result undecided_result(const struct plan *plan)
{
	if (plan->reason == REASON_NO_RULE)
		return ADMISSION_UNMATCHED;
	return plan->reason == REASON_MALFORMED ? ADMISSION_VERIFICATION_FAILED : ADMISSION_SKIPPED;
}

static void make_patch(const struct admission_context *context, struct arena *arena, json *pod,
                       struct injection *injection)
{
	struct plan *plan = &injection->plan;
	if (annotations_fit(context->config, pod, injection->record)) {
		mutate(plan, context->config, pod, injection->record, &injection->patch);
	} else {
		injection->record =
		        write_record(arena, plan, context->config, REASON_ANNOTATIONS_FULL);
		mutate(plan, context->config, pod, NULL, &injection->patch);
	}

	if (!patch_apply(&injection->patch, pod, &injection->problem) ||
	    !verify_pod(arena, pod, &injection->problem)) {
		error_wrap(&injection->problem, "the patched pod did not pass the check");
		patch_init(&injection->patch, arena);
		plan->reason = REASON_VERIFICATION_FAILED;
		injection->record = write_record(arena, plan, context->config, REASON_APPLIED);
		injection->result = ADMISSION_VERIFICATION_FAILED;
	} else if (injection->patch.count == 0) {
		injection->result = ADMISSION_UNCHANGED;
	} else {
		injection->result = plan->rule->shadow ? ADMISSION_SHADOW : ADMISSION_INJECTED;
	}
}

static void decide(const struct admission_context *context, const char *namespace,
                   struct arena *arena, json *pod, struct injection *injection)
{
	struct policy_input input = {
	        .config = context->config,
	        .server_minor = context->server_minor,
	        .namespace = namespace,
	        .pod = pod,
	        .images = context->images,
	        .breaker = context->breaker,
	        .dry_run = context->dry_run,
	};
	if (policy_decide(&input, arena, &injection->plan))
		injection->record =
		        write_record(arena, &injection->plan, context->config, REASON_APPLIED);
	if (injection->record == NULL) {
		error_set(&injection->problem, "no room to decide about a pod of this size");
		injection->plan.reason = REASON_VERIFICATION_FAILED;
	} else if (injection->plan.reason == REASON_APPLIED) {
		make_patch(context, arena, pod, injection);
	} else {
		injection->result = undecided_result(&injection->plan);
		if (injection->result == ADMISSION_VERIFICATION_FAILED)
			error_set(&injection->problem, "%s",
			          reason_meaning(injection->plan.reason));
	}
}

/* The work that a pod may cost: it depends on the pod's nodes and on what the configuration looks
 * up in any pod. */
static uint64_t work_limit(const struct config *config, const json *pod)
{
	return ADMISSION_WORK_BASE + ADMISSION_WORK_PER_NODE * (uint64_t)json_count(pod) +
	       ADMISSION_WORK_PER_LOOKUP * (uint64_t)config->lookups;
}

/* The budget of work was used up, so look-ups found nothing any more and the decision is void. */
static void drop_decision(const struct admission_context *context, struct arena *arena,
                          struct injection *injection)
{
	*injection = (struct injection){.result = ADMISSION_VERIFICATION_FAILED,
	                                .plan = {.reason = REASON_TOO_MUCH_WORK, .user = -1},
	                                .work = injection->work};
	patch_init(&injection->patch, arena);
	error_set(&injection->problem, "%s", reason_meaning(REASON_TOO_MUCH_WORK));
	injection->record = write_record(arena, &injection->plan, context->config, REASON_APPLIED);
}

void injection_make(const struct admission_context *context, const char *namespace,
                    struct arena *arena, json *pod, struct injection *ret_injection)
{
	struct injection injection = {.result = ADMISSION_VERIFICATION_FAILED};
	patch_init(&injection.patch, arena);
	uint64_t limit = work_limit(context->config, pod);
	json_work_begin(limit);
	decide(context, namespace, arena, pod, &injection);
	uint64_t left = json_work_left();
	json_work_begin(UINT64_MAX);
	injection.work = limit - left;
	if (left == 0)
		drop_decision(context, arena, &injection);
	*ret_injection = injection;
}

/* ---- The review ---- */

static void invalid(struct admission_response *response, unsigned status, const char *expected,
                    const char *got)
{
	response->status = status;
	response->result = ADMISSION_INVALID;
	error_set(&response->problem, "expected %s, got %.200s", expected, got);
	buffer_printf(&response->body, "%s\n", response->problem.message);
}

/* Reads the uid that the response must repeat; false: an error response has been written. */
static bool read_envelope(const json *root, struct admission_response *response,
                          const char **ret_uid)
{
	if (!json_is_object(root)) {
		invalid(response, 400, "an AdmissionReview object", json_type_name(root));
		return false;
	}
	if (!json_string_is(json_get(root, "kind"), "AdmissionReview")) {
		invalid(response, 400, "kind AdmissionReview",
		        json_get_string_or(root, "kind", "none"));
		return false;
	}
	if (!json_string_is(json_get(root, "apiVersion"), API_VERSION)) {
		invalid(response, 400, "apiVersion " API_VERSION,
		        json_get_string_or(root, "apiVersion", "none"));
		return false;
	}
	const json *uid = json_get_in(root, "request", "uid");
	if (json_string(uid) == NULL || json_string(uid)[0] == '\0') {
		invalid(response, 400, "a request with a uid (a string)", json_type_name(uid));
		return false;
	}
	*ret_uid = json_string(uid);
	return true;
}

struct response_content {
	const char *uid;
	const struct patch *patch; /* NULL: none */
	struct strings warnings;
	const char *problem; /* one more warning; "": none */
	const char *record;  /* NULL: no audit annotation */
};

static void write_warnings(struct json_writer *writer, const struct response_content *content)
{
	if (content->warnings.count == 0 && content->problem[0] == '\0')
		return;
	json_write_key(writer, "warnings");
	json_write_array_begin(writer);
	if (content->problem[0] != '\0') {
		char text[240];
		snprintf(text, sizeof text, "lastword: pod left as it is: %s", content->problem);
		json_write_string(writer, text);
	}
	for (size_t i = 0; i < content->warnings.count; i++)
		json_write_string(writer, content->warnings.items[i]);
	json_write_array_end(writer);
}

/* Writes the patch as base64, as the API wants it. */
static void write_patch(struct json_writer *writer, const struct patch *patch)
{
	json_write_member(writer, "patchType", "JSONPatch");
	json_write_key(writer, "patch");
	json_write_raw(writer, "\"", 1);
	size_t start = writer->out->length;
	patch_print(patch, "", writer->out);
	base64_encode_from(writer->out, start);
	buffer_append_char(writer->out, '"');
}

static bool write_response(struct buffer *out, const struct response_content *content)
{
	struct json_writer writer;
	buffer_reserve(out, RESPONSE_USUAL);
	json_writer_init(&writer, out);
	json_write_object_begin(&writer);
	json_write_member(&writer, "kind", "AdmissionReview");
	json_write_member(&writer, "apiVersion", API_VERSION);
	json_write_key(&writer, "response");
	json_write_object_begin(&writer);
	json_write_member(&writer, "uid", content->uid);
	json_write_member_bool(&writer, "allowed", true);
	if (content->patch != NULL)
		write_patch(&writer, content->patch);
	if (content->record != NULL) {
		json_write_key(&writer, "auditAnnotations");
		json_write_object_begin(&writer);
		json_write_member(&writer, "decision", content->record);
		json_write_object_end(&writer);
	}
	write_warnings(&writer, content);
	json_write_object_end(&writer);
	json_write_object_end(&writer);
	return buffer_ok(out);
}

/* The pod is always allowed; a response that does not fit is replaced by one without a patch. */
static void respond(struct admission_response *response, struct response_content *content)
{
	response->status = 200;
	response->record = content->record;
	content->problem = response->problem.message;
	if (write_response(&response->body, content))
		return;
	buffer_clear(&response->body);
	response->result = ADMISSION_VERIFICATION_FAILED;
	error_set(&response->problem, "the response would be too large");
	*content = (struct response_content){.uid = content->uid,
	                                     .problem = response->problem.message};
	if (!write_response(&response->body, content)) {
		buffer_clear(&response->body);
		response->status = 500;
		buffer_append_text(&response->body, "no memory for a response\n");
	}
}

bool admission_is_pod_creation(const json *request)
{
	const json *resource = json_get(request, "resource");
	return json_string_is(json_get(request, "operation"), "CREATE") &&
	       json_string_is(json_get(resource, "resource"), "pods") &&
	       json_string_is(json_get(resource, "version"), "v1") &&
	       json_get_string_or(resource, "group", "")[0] == '\0' &&
	       json_get_string_or(request, "subResource", "")[0] == '\0';
}

static uint64_t reason_bits(const struct plan *plan)
{
	if (plan->reason != REASON_APPLIED)
		return UINT64_C(1) << plan->reason;
	uint64_t bits = 0;
	for (size_t i = 0; i < plan->container_count; i++)
		for (size_t part = 0; part < PART_COUNT; part++)
			bits |= UINT64_C(1) << plan->containers[i].parts[part];
	return bits & ~(UINT64_C(1) << REASON_APPLIED);
}

static void name_pod(const json *request, const json *pod, struct admission_response *response)
{
	const char *name = json_get_string_or(request, "name", "");
	if (name[0] == '\0')
		name = json_get_string_or(json_get(pod, "metadata"), "generateName", "");
	response->pod = name;
	response->namespace = json_get_string_or(request, "namespace", "");
}

static void review_pod(const struct admission_context *context, struct arena *arena,
                       const json *request, struct injection *injection,
                       struct response_content *content, struct admission_response *response)
{
	json *pod = json_get(request, "object");
	if (!json_is_object(pod)) {
		response->result = ADMISSION_VERIFICATION_FAILED;
		response->reasons = UINT64_C(1) << REASON_MALFORMED;
		error_set(&response->problem, "request.object: expected a Pod, got %s",
		          json_type_name(pod));
		return;
	}
	struct admission_context own = *context;
	own.dry_run = json_is_true(json_get(request, "dryRun"));
	injection_make(&own, response->namespace, arena, pod, injection);
	response->result = injection->result;
	response->reasons = reason_bits(&injection->plan);
	response->work = injection->work;
	content->warnings = injection->plan.warnings;
	if (injection->result == ADMISSION_VERIFICATION_FAILED)
		response->problem = injection->problem;
	if (injection->result == ADMISSION_INJECTED)
		content->patch = &injection->patch;
	if (injection->result != ADMISSION_UNMATCHED)
		content->record = injection->record;
}

void admission_review(const struct admission_context *context, struct arena *arena,
                      const char *body, size_t length, struct admission_response *response)
{
	response->reasons = 0;
	response->work = 0;
	response->record = NULL;
	response->namespace = "";
	response->pod = "";
	response->problem.message[0] = '\0';

	json *root;
	struct error error;
	enum json_fidelity fidelity = json_parse(arena, body, length, 0, &root, &error);
	if (fidelity == JSON_INVALID) {
		invalid(response, 400, "an AdmissionReview in JSON", error.message);
		return;
	}
	struct response_content content = {0};
	struct injection injection; /* what the response points to */
	if (!read_envelope(root, response, &content.uid))
		return;
	const json *request = json_get(root, "request");
	name_pod(request, json_get(request, "object"), response);

	if (fidelity == JSON_FLAWED) {
		response->result = ADMISSION_VERIFICATION_FAILED;
		response->reasons = UINT64_C(1) << REASON_MALFORMED;
		response->problem = error;
	} else if (admission_is_pod_creation(request)) {
		review_pod(context, arena, request, &injection, &content, response);
	} else {
		response->result = ADMISSION_IGNORED;
	}
	respond(response, &content);
}
