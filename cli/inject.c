#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/documents.h"
#include "cli/command_options.h"
#include "lib/document/yaml.h"

static const char usage[] =
        "Usage: lastword inject -c CONFIG -f FILE|- [OPTION…]\n"
        "Does to the pods in a file what the webhook would do to them, and prints the whole.\n"
        "Documents in which nothing changes are passed through as they stand; the others keep the\n"
        "order of their keys. Argo Workflows are passed through: Argo makes their pods, and the\n"
        "webhook sees those.\n"
        "\n"
        "  -c, --config FILE       the configuration\n"
        "  -f, --filename FILE     a Pod, anything with a pod template, a List, an "
        "AdmissionReview;\n"
        "                          JSON or YAML; - is standard input\n"
        "  -o, --output yaml|json|patch\n"
        "                          patch: the JSON Patch (RFC 6902), one a line for each document\n"
        "                          with pods (default: as the input)\n"
        "  -n, --namespace NS      where the file names none (default \"default\")\n"
        "      --kube-version 1.N  the API server's version, for sidecar mode auto\n"
        "\n"
        "Exit status: 0 ok, 1 failed, 2 usage.\n";

#define OUTPUT_MAX ((size_t)256 * 1024 * 1024)

struct injecting {
	struct command_options *options;
	struct arena *arena;
	struct buffer out;
	struct buffer patch; /* the document's operations, without the brackets */
	bool changed;        /* the document */
	bool has_pods;
	bool failed;
};

/* A pod that failed verification, or is shadowed, stays as it was: what was tried on it is tried on
 * a copy. */
static void inject_found(struct injecting *injecting, const struct found_pod *found)
{
	const struct command_options *options = injecting->options;
	const char *namespace = found->namespace == NULL ? options->namespace : found->namespace;
	json *copy = json_duplicate(injecting->arena, found->pod);
	struct injection injection;
	struct error error;
	if (copy == NULL) {
		complain(options, "no memory");
		injecting->failed = true;
		return;
	}
	injection_make(&options->context, namespace, injecting->arena, copy, &injection);
	for (size_t i = 0; i < injection.plan.warnings.count; i++)
		fprintf(stderr, "%s %s: %s\n", found->kind, found->name,
		        injection.plan.warnings.items[i]);
	if (injection.result == ADMISSION_VERIFICATION_FAILED) {
		complain(options, injection.problem.message);
		injecting->failed = true;
	}
	if (injection.result != ADMISSION_INJECTED)
		return;
	if (!patch_apply(&injection.patch, found->pod, &error)) {
		complain(options, error.message);
		injecting->failed = true;
		return;
	}
	injecting->changed = true;
	struct buffer *patch = &injecting->patch;
	if (patch->length > 0) { /* another pod's operations are there: join the two arrays */
		buffer_truncate(patch, patch->length - 1);
		size_t bracket = patch->length;
		patch_print(&injection.patch, found->pointer, patch);
		if (buffer_ok(patch))
			patch->data[bracket] = ',';
	} else {
		patch_print(&injection.patch, found->pointer, patch);
	}
}

static bool inject_pod(void *context, const struct found_pod *found)
{
	struct injecting *injecting = context;
	if (found->is_model) {
		fprintf(stderr,
		        "%s: template %s passed through: Argo makes its pods, the webhook sees "
		        "them\n",
		        found->kind, found->name);
		return true;
	}
	injecting->has_pods = true;
	inject_found(injecting, found);
	return true;
}

static void print_document(struct injecting *injecting, const struct document *document,
                           enum output output, bool same_format)
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
	if (output == OUTPUT_YAML && out->length > 0)
		buffer_append_text(out, "---\n");
	if (!injecting->changed && same_format) {
		buffer_append(out, document->text, document->length);
		if (document->length > 0 && document->text[document->length - 1] != '\n')
			buffer_append_char(out, '\n');
	} else if (output == OUTPUT_YAML) {
		yaml_print(out, document->root);
	} else {
		json_print(out, document->root, 2);
		buffer_append_char(out, '\n');
	}
}

/* An AdmissionReview comes out as the pod that is in it. */
static json *printed_root(json *root)
{
	if (strcmp(json_get_string_or(root, "kind", ""), "AdmissionReview") != 0)
		return root;
	json *pod = json_find(root, "request", "object", NULL);
	return pod == NULL ? root : pod;
}

static void inject_document(struct injecting *injecting, struct document *document, bool is_json)
{
	enum output output = injecting->options->output;
	enum output same = is_json ? OUTPUT_JSON : OUTPUT_YAML;
	injecting->changed = false;
	injecting->has_pods = false;
	buffer_clear(&injecting->patch);
	if (!documents_each_pod(injecting->arena, document->root, inject_pod, injecting)) {
		complain(injecting->options, "no memory");
		injecting->failed = true;
	}
	struct document printed = *document;
	printed.root = printed_root(document->root);
	if (output == OUTPUT_SAME)
		output = same;
	print_document(injecting, &printed, output,
	               output == same && printed.root == document->root);
}

/* Nothing is printed unless all of it can be: half a file must not reach kubectl apply. */
static void print_all(struct injecting *injecting)
{
	if (!buffer_ok(&injecting->out) || !buffer_ok(&injecting->patch)) {
		complain(injecting->options, "the output is too large");
		injecting->failed = true;
		return;
	}
	if (fwrite(buffer_text(&injecting->out), 1, injecting->out.length, stdout) !=
	            injecting->out.length ||
	    fflush(stdout) != 0) {
		complain(injecting->options, "writing the output failed");
		injecting->failed = true;
	}
}

int command_inject(int argc, char **argv)
{
	struct command_options options = {.command = "inject",
	                                  .usage = usage,
	                                  .outputs = 1U << OUTPUT_YAML | 1U << OUTPUT_JSON |
	                                             1U << OUTPUT_PATCH,
	                                  .takes_file = true,
	                                  .namespace = "default"};
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
