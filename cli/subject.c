#include "cli/subject.h"

#include <string.h>
#include <strings.h>

#define SELECTOR_SIZE 128

/* What the argument may name, in the order in which it is tried. */
enum subject_kind {
	SUBJECT_POD,
	SUBJECT_OWNER, /* KIND/NAME */
	SUBJECT_WORKFLOW,
	SUBJECT_TASK,
	SUBJECT_NAME, /* of an owner, a workflow or a task */
	SUBJECT_POD_PREFIX,
	SUBJECT_ANY, /* all of a name at once: standard input is read only once */
};

struct subject {
	enum subject_kind kind;
	const char *text;
	const char *container; /* NULL: any */
};

static bool is_text(const char *text, const char *wanted)
{
	return text != NULL && strcmp(text, wanted) == 0;
}

/* job/a, jobs/a and jobs.batch/a are the owner Job/a. */
static bool is_owner(const char *owner, const char *wanted)
{
	const char *name = owner == NULL ? NULL : strchr(owner, '/');
	const char *wanted_name = strchr(wanted, '/');
	if (name == NULL || wanted_name == NULL || strcmp(name, wanted_name) != 0)
		return false;
	size_t length = (size_t)(name - owner);
	size_t wanted_length = strcspn(wanted, "./");
	bool plural = wanted_length == length + 1 && (wanted[length] | 0x20) == 's';
	return (wanted_length == length || plural) && strncasecmp(owner, wanted, length) == 0;
}

static bool is_of_subject(const struct subject *subject, const struct agent_exit *exit)
{
	const char *text = subject->text;
	const char *owner_name = exit->owner == NULL ? NULL : strchr(exit->owner, '/');
	switch (subject->kind) {
	case SUBJECT_POD:
		return is_text(exit->pod, text);
	case SUBJECT_OWNER:
		return is_owner(exit->owner, text);
	case SUBJECT_WORKFLOW:
		return is_text(exit->workflow_id, text);
	case SUBJECT_TASK:
		return is_text(exit->task_id, text);
	case SUBJECT_ANY:
		if (exit->pod != NULL && strncmp(exit->pod, text, strlen(text)) == 0)
			return true;
		/* fall through */
	case SUBJECT_NAME:
		return is_text(exit->workflow_id, text) || is_text(exit->task_id, text) ||
		       (owner_name != NULL && is_text(owner_name + 1, text));
	case SUBJECT_POD_PREFIX:
		return exit->pod != NULL && strncmp(exit->pod, text, strlen(text)) == 0;
	}
	return false;
}

static bool is_wanted(void *context, const struct agent_exit *exit)
{
	const struct subject *subject = context;
	return is_of_subject(subject, exit) &&
	       (subject->container == NULL || is_text(exit->container, subject->container));
}

/* What follows one of the prefixes, a list that ends with NULL; NULL: none fits. */
static const char *behind(const char *argument, const char *const *prefixes)
{
	for (; *prefixes != NULL; prefixes++)
		if (strncmp(argument, *prefixes, strlen(*prefixes)) == 0)
			return argument + strlen(*prefixes);
	return NULL;
}

/* The subjects that the argument may mean; how many. */
static size_t read_subjects(const char *argument, const char *container,
                            struct subject ret_subjects[3])
{
	static const char *const pods[] = {"pod/", "pods/", "po/", NULL};
	static const char *const workflows[] = {"workflow/", "wf/", NULL};
	static const char *const tasks[] = {"task/", NULL};
	struct subject subject = {SUBJECT_OWNER, argument, container};
	const char *text;
	if ((text = behind(argument, pods)) != NULL)
		subject = (struct subject){SUBJECT_POD, text, container};
	else if ((text = behind(argument, workflows)) != NULL)
		subject = (struct subject){SUBJECT_WORKFLOW, text, container};
	else if ((text = behind(argument, tasks)) != NULL)
		subject = (struct subject){SUBJECT_TASK, text, container};
	ret_subjects[0] = subject;
	if (strchr(argument, '/') != NULL)
		return 1;
	ret_subjects[0] = (struct subject){SUBJECT_POD, argument, container};
	ret_subjects[1] = (struct subject){SUBJECT_NAME, argument, container};
	ret_subjects[2] = (struct subject){SUBJECT_POD_PREFIX, argument, container};
	return 3;
}

bool subject_load(const struct record_options *options, struct exit_list *list, struct error *error)
{
	struct subject subjects[3];
	size_t count = read_subjects(options->argument, options->container, subjects);
	if (count > 1 && options->source.path != NULL && strcmp(options->source.path, "-") == 0) {
		subjects[0].kind = SUBJECT_ANY;
		count = 1;
	}
	for (size_t i = 0; i < count && list->count == 0; i++) {
		char selector[SELECTOR_SIZE] = AGENT_EXIT_LABEL_POD "=";
		const struct exit_choice choice = {is_wanted, &subjects[i], true};
		struct exit_source source = options->source;
		if (subjects[i].kind == SUBJECT_POD) {
			agent_exit_label_value(subjects[i].text, selector + strlen(selector));
			source.selector = selector;
		}
		exit_list_free(list);
		if (!exit_list_load(&source, &choice, list, error))
			return false;
	}
	return true;
}
