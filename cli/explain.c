#include <stdio.h>
#include <string.h>

#include "cli/command_options.h"
#include "cli/commands.h"
#include "cli/documents.h"
#include "cli/message.h"
#include "cli/pods.h"

struct explaining {
	struct command_options *options;
	struct arena *arena;
	bool failed;
};

static void print_parts(const struct container_plan *container)
{
	for (size_t part = 0; part < PART_COUNT; part++) {
		enum reason reason = container->parts[part];
		printf("    %-25s %s\n", part_names[part],
		       reason == REASON_APPLIED ? "applied" : reason_code(reason));
		if (reason != REASON_APPLIED)
			printf("    %-25s (%s)\n", "", reason_meaning(reason));
	}
}

static void print_text(const struct found_pod *found, const struct injection *injection)
{
	const struct plan *plan = &injection->plan;
	printf("%s %s: ", found->kind, found->name);
	if (plan->reason != REASON_APPLIED) {
		printf("left as it is: %s (%s)\n", reason_code(plan->reason),
		       reason_meaning(plan->reason));
		return;
	}
	printf("%s by rule %s, %s\n", admission_result_name(injection->result), plan->rule->name,
	       !plan->watchdog ? "no watchdog"
	       : plan->native  ? "native watchdog"
	                       : "classic watchdog");
	for (size_t i = 0; i < plan->container_count; i++) {
		printf("  container %s\n", plan->containers[i].name);
		print_parts(&plan->containers[i]);
	}
}

static bool explain_pod(void *context, const struct found_pod *found)
{
	struct explaining *explaining = context;
	const struct command_options *options = explaining->options;
	const char *namespace = found->namespace == NULL ? options->namespace : found->namespace;
	json *pod = pod_as_created(explaining->arena, found);
	struct injection injection;
	if (pod == NULL)
		return false;
	injection_make(&options->context, namespace, explaining->arena, pod, &injection);
	for (size_t i = 0; i < injection.plan.warnings.count; i++)
		message(options->command, "%s/%s: warning: %s", found->kind, found->name,
		        warning_for_person(injection.plan.warnings.items[i]));
	if (injection.result == ADMISSION_VERIFICATION_FAILED) {
		message(options->command, "%s/%s: %s", found->kind, found->name,
		        injection.problem.message);
		explaining->failed = true;
	}
	if (options->output == OUTPUT_TEXT)
		print_text(found, &injection);
	else if (injection.record != NULL)
		printf("%s\n", injection.record);
	return true;
}

static void report_no_pod(void *context, const struct no_pod *none)
{
	const struct explaining *explaining = context;
	message(explaining->options->command, "%s/%s: not explained: %s", none->kind, none->name,
	        none->why);
}

int command_explain(int argc, char **argv)
{
	struct command_options options = {.command = "explain", .namespace = "default"};
	struct documents documents;
	int status = command_options_load(argc, argv, &options, &documents);
	if (status >= 0)
		return status;
	struct explaining explaining = {.options = &options, .arena = documents.arena};
	const struct pod_visitor visitor = {
	        .pod = explain_pod, .no_pod = report_no_pod, .context = &explaining};
	for (size_t i = 0; i < documents.count; i++)
		if (!pods_visit(documents.arena, documents.items[i].root, &visitor)) {
			message(options.command, "no memory");
			explaining.failed = true;
		}
	documents_free(&documents);
	command_options_free(&options);
	return explaining.failed ? EXIT_FAILED : EXIT_OK;
}
