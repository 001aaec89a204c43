#include <stdio.h>
#include <string.h>

#include "cli/command_options.h"
#include "cli/commands.h"
#include "cli/documents.h"
#include "cli/message.h"
#include "cli/pods.h"
#include "lib/document/yaml.h"

#define OUTPUT_MAX ((size_t)256 * 1024 * 1024)

struct injecting {
	struct command_options *options;
	struct arena *arena;
	struct buffer out;
	struct buffer patch; /* the document's operations, an array; empty: none */
	bool changed;        /* the document */
	bool has_pods;
	bool failed;
};

static void fail(struct injecting *injecting, const char *text)
{
	message(injecting->options->command, "%s", text);
	injecting->failed = true;
}

/* "Kind/name: injected", "Kind/name: left: why", with the pointer to a template that is not where
 * such a kind usually has it. */
static void report(const struct injecting *injecting, const struct found_pod *found,
                   const char *what, const char *why)
{
	static const char *const usual[] = {"", "/template", "/spec/template", "/request/object",
	                                    "/spec/jobTemplate/spec/template"};
	bool is_usual = false;
	for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
		is_usual = is_usual || strcmp(found->path, usual[i]) == 0;
	message(injecting->options->command, "%s/%s%s%s: %s%s", found->kind, found->name,
	        is_usual ? "" : " ", is_usual ? "" : found->path, what, why);
}

static void report_left(const struct injecting *injecting, const struct found_pod *found,
                        const char *why)
{
	report(injecting, found, "left: ", why);
}

static void report_injection(const struct injecting *injecting, const struct found_pod *found,
                             const struct injection *injection)
{
	const struct plan *plan = &injection->plan;
	for (size_t i = 0; i < plan->warnings.count; i++)
		report(injecting, found, "warning: ", warning_for_person(plan->warnings.items[i]));
	switch (injection->result) {
	case ADMISSION_INJECTED:
		report(injecting, found, "injected", "");
		return;
	case ADMISSION_SHADOW:
		report_left(injecting, found, "the rule's mode is shadow");
		return;
	case ADMISSION_UNCHANGED:
		report_left(injecting, found, "nothing is to be changed");
		return;
	case ADMISSION_VERIFICATION_FAILED:
		report_left(injecting, found, injection->problem.message);
		return;
	default:
		report_left(injecting, found, reason_meaning(plan->reason));
	}
}

/* What the webhook's patch takes for granted of metadata, and the template has not: the labels of
 * the controller were in it. */
static void prepare(struct injecting *injecting, const struct found_pod *found,
                    struct patch *ret_patch)
{
	const json *metadata = json_get(found->pod, "metadata");
	patch_init(ret_patch, injecting->arena);
	if (found->origin != POD_TEMPLATE)
		return;
	if (!json_is_object(metadata))
		patch_add(ret_patch, json_new_object(injecting->arena), "metadata", NULL);
	if (!json_is_object(json_get(metadata, "labels")))
		patch_add(ret_patch, json_new_object(injecting->arena), "metadata", "labels", NULL);
}

/* Adds the operations to the document's array. */
static void add_patch(struct injecting *injecting, const struct found_pod *found,
                      const struct patch *patch)
{
	struct buffer *out = &injecting->patch;
	if (patch->count == 0)
		return;
	if (out->length == 0) {
		patch_print(patch, found->pointer, out);
		return;
	}
	buffer_truncate(out, out->length - 1);
	size_t bracket = out->length;
	patch_print(patch, found->pointer, out);
	if (buffer_ok(out))
		out->data[bracket] = ',';
}

/* A pod that fails verification, or is in shadow, stays as it was: the webhook's part works on a
 * copy. */
static void inject_found(struct injecting *injecting, const struct found_pod *found)
{
	const struct command_options *options = injecting->options;
	const char *namespace = found->namespace == NULL ? options->namespace : found->namespace;
	json *copy = pod_as_created(injecting->arena, found);
	struct injection injection;
	struct patch preparation;
	struct error error;
	if (copy == NULL) {
		fail(injecting, "no memory");
		return;
	}
	injection_make(&options->context, namespace, injecting->arena, copy, &injection);
	report_injection(injecting, found, &injection);
	injecting->failed = injecting->failed || injection.result == ADMISSION_VERIFICATION_FAILED;
	if (injection.result != ADMISSION_INJECTED)
		return;
	prepare(injecting, found, &preparation);
	if (preparation.failed || !patch_apply(&preparation, found->pod, &error) ||
	    !patch_apply(&injection.patch, found->pod, &error)) {
		fail(injecting, preparation.failed ? "no memory" : error.message);
		return;
	}
	injecting->changed = true;
	add_patch(injecting, found, &preparation);
	add_patch(injecting, found, &injection.patch);
}

static bool inject_pod(void *context, const struct found_pod *found)
{
	struct injecting *injecting = context;
	if (found->origin == POD_OF_ARGO) {
		report_left(injecting, found,
		            "passed through; Argo makes its pods, and the webhook sees them");
		return true;
	}
	injecting->has_pods = true;
	if (found->origin == POD_OF_KNATIVE)
		report_left(injecting, found,
		            "passed through; Knative refuses lifecycle hooks, and the webhook sees "
		            "its pods");
	else
		inject_found(injecting, found);
	return true;
}

static void report_no_pod(void *context, const struct no_pod *none)
{
	const struct injecting *injecting = context;
	message(injecting->options->command, "%s/%s: left: %s", none->kind, none->name, none->why);
}

/* What stands between two documents of YAML: nothing where the second brings its own marker, "..."
 * before directives. */
static void print_separator(struct buffer *out, const char *next)
{
	if (out->length == 0 || strncmp(next, "---", 3) == 0)
		return;
	if (out->data[out->length - 1] != '\n')
		buffer_append_char(out, '\n');
	bool is_ended = out->length >= 5 && memcmp(out->data + out->length - 5, "\n...\n", 5) == 0;
	if (next[0] != '%')
		buffer_append_text(out, "---\n");
	else if (!is_ended)
		buffer_append_text(out, "...\n");
}

static void print_document(struct injecting *injecting, const struct document *document,
                           enum output output, bool as_it_stands)
{
	struct buffer *out = &injecting->out;
	if (output == OUTPUT_PATCH) {
		if (injecting->has_pods)
			buffer_printf(out, "%s\n",
			              injecting->patch.length == 0
			                      ? "[]"
			                      : buffer_text(&injecting->patch));
		return;
	}
	if (output == OUTPUT_YAML)
		print_separator(out, as_it_stands ? document->text : "");
	/* No line end is added: at the end of a file it would be part of a literal block. */
	if (as_it_stands)
		buffer_append(out, document->text, document->length);
	else if (output == OUTPUT_YAML)
		yaml_print(out, document->root);
	else
		json_print(out, document->root, 2);
	if (output == OUTPUT_JSON)
		buffer_append_char(out, '\n');
}

/* An AdmissionReview is printed as the pod that is in it. */
static json *printed_root(json *root)
{
	if (strcmp(json_get_string_or(root, "kind", ""), "AdmissionReview") != 0)
		return root;
	json *pod = json_find(root, "request", "object", NULL);
	return pod == NULL ? root : pod;
}

static void inject_document(struct injecting *injecting, struct document *document, bool is_json)
{
	const struct pod_visitor visitor = {
	        .pod = inject_pod, .no_pod = report_no_pod, .context = injecting};
	enum output same = is_json ? OUTPUT_JSON : OUTPUT_YAML;
	enum output output = injecting->options->output;
	output = output == OUTPUT_SAME ? same : output;
	injecting->changed = false;
	injecting->has_pods = false;
	buffer_clear(&injecting->patch);
	if (!pods_visit(injecting->arena, document->root, &visitor))
		fail(injecting, "no memory");
	struct document printed = *document;
	printed.root = printed_root(document->root);
	print_document(injecting, &printed, output,
	               output == same && printed.root == document->root && !injecting->changed);
}

/* Nothing is printed unless all of it can be: half a file must not reach kubectl apply. */
static void print_all(struct injecting *injecting)
{
	if (!buffer_ok(&injecting->out) || !buffer_ok(&injecting->patch)) {
		fail(injecting, "the output is too large");
		return;
	}
	if (fwrite(buffer_text(&injecting->out), 1, injecting->out.length, stdout) !=
	            injecting->out.length ||
	    fflush(stdout) != 0)
		fail(injecting, "writing the output failed");
}

int command_inject(int argc, char **argv)
{
	struct command_options options = {.command = "inject", .namespace = "default"};
	struct documents documents;
	int status = command_options_load(argc, argv, &options, &documents);
	if (status >= 0)
		return status;
	struct injecting injecting = {.options = &options, .arena = documents.arena};
	buffer_init(&injecting.out, OUTPUT_MAX);
	buffer_init(&injecting.patch, OUTPUT_MAX);
	for (size_t i = 0; i < documents.count; i++)
		inject_document(&injecting, &documents.items[i], documents.is_json);
	print_all(&injecting);
	buffer_free(&injecting.patch);
	buffer_free(&injecting.out);
	documents_free(&documents);
	command_options_free(&options);
	return injecting.failed ? EXIT_FAILED : EXIT_OK;
}
