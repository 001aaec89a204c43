#include "webhook/argo_pod.h"

#include <string.h>

#include "lib/document/json_stream.h"
#include "lib/kube/names.h"
#include "webhook/patterns.h"
#include "webhook/pod.h"

/* A pod with more containers is not changed (POLICY_CONTAINERS_MAX). */
#define CONTAINERS_MAX 200

#define END                 \
	{                   \
		.key = NULL \
	}
static const struct json_filter member[] = {{.key = "name", .text_max = CONTAINER_NAME_MAX}, END};
static const struct json_filter container_set[] = {
        {.key = "containers", .members = member, .elements_max = CONTAINERS_MAX}, END};
static const struct json_filter template[] = {{.key = "containerSet", .members = container_set},
                                              END};

static const char *environment(const json *container, const char *name)
{
	const json *env = json_get(container, "env");
	for (const json *n = json_first(env); n != NULL; n = json_next(n))
		if (json_string_is(json_get(n, "name"), name))
			return json_get_string(n, "value");
	return NULL;
}

static const char *template_text(const json *pod)
{
	const json *const holders[] = {
	        pod_init_container(pod, "init"),
	        pod_container(pod, "supervisor", NULL),
	        pod_container(pod, "main", NULL),
	};
	for (size_t i = 0; i < sizeof holders / sizeof holders[0]; i++) {
		const char *text = environment(holders[i], "ARGO_TEMPLATE");
		if (text != NULL)
			return text;
	}
	return NULL;
}

struct reading {
	struct arena *arena;
	json *template; /* what the filter keeps of it */
};

static bool take(void *context, const struct json_piece *piece)
{
	struct reading *reading = context;
	if (json_parse(reading->arena, piece->text, piece->length, 0, &reading->template, NULL) ==
	    JSON_INVALID)
		reading->template = NULL;
	return true;
}

/* The template, as far as it is asked for; NULL: it is not there, or nothing that can be read. */
static const json *read_template(struct arena *arena, const json *pod)
{
	const char *text = template_text(pod);
	size_t size = json_filter_bound(template, 0) + 1;
	char *storage = text == NULL ? NULL : arena_take(arena, size);
	struct json_stream *stream = storage == NULL ? NULL : arena_take(arena, sizeof *stream);
	struct reading reading = {.arena = arena};
	if (stream == NULL)
		return NULL;
	size_t length = strlen(text);
	json_work_add(length / 16);
	return json_stream_init(stream, template, 0, storage, size, NULL) &&
	                       json_stream_feed(stream, text, length, take, &reading, NULL) &&
	                       json_stream_is_between(stream)
	               ? reading.template
	               : NULL;
}

struct marking {
	const struct container_index *index;
	bool *marks;
	size_t count;
};

static void mark(struct marking *marking, size_t position)
{
	if (marking->marks[position] || container_is_watchdog(marking->index->containers[position]))
		return;
	marking->marks[position] = true;
	marking->count++;
}

static void mark_members(struct marking *marking, const json *containers)
{
	for (const json *n = json_first(containers); n != NULL; n = json_next(n)) {
		const char *name = json_get_string(n, "name");
		size_t position;
		if (name != NULL &&
		    container_index_find(marking->index, name, strlen(name), &position))
			mark(marking, position);
	}
}

/* The one that Argo adds to the template's. It is the default container only where Argo, an old
 * one, has named none, and Istio the first. */
static bool is_executor(const char *name)
{
	return strcmp(name, "wait") == 0 || strcmp(name, "supervisor") == 0;
}

static bool run_by_emissary(const json *container)
{
	const json *command = json_get(container, "command");
	for (const json *n = json_first(command); n != NULL; n = json_next(n))
		if (json_string_is(n, "emissary"))
			return true;
	return false;
}

static const char *name_at(const struct marking *marking, size_t position)
{
	return json_get_string_or(marking->index->containers[position], "name", "");
}

/* What another webhook has put in between is not run by the executor. Of a containerSet "main" is
 * the default container wherever it stands, so what is behind it may be of the set, too. */
static void mark_listed(struct marking *marking, size_t last, const struct strings *known_sidecars)
{
	const struct container_index *index = marking->index;
	bool emissary = run_by_emissary(index->containers[last]);
	size_t first = last;
	for (size_t i = 0; i < last; i++)
		if (is_executor(name_at(marking, i)))
			first = i + 1;
	for (size_t i = first; i <= last; i++)
		if (run_by_emissary(index->containers[i]) == emissary)
			mark(marking, i);
	if (marking->count < 2 || strcmp(name_at(marking, last), "main") != 0)
		return;
	for (size_t i = last + 1; i < index->count; i++)
		if (run_by_emissary(index->containers[i]) == emissary &&
		    !matches_any(known_sidecars, name_at(marking, i)))
			mark(marking, i);
}

size_t argo_pod_mark(const json *pod, const struct container_index *index,
                     const struct strings *known_sidecars, struct arena *arena, bool *marks)
{
	struct marking marking = {.index = index, .marks = marks};
	if (pod_label(pod, "workflows.argoproj.io/workflow") == NULL ||
	    pod_label(pod, "workflows.argoproj.io/component") != NULL)
		return 0;
	const json *read = read_template(arena, pod);
	const json *set = json_get(read, "containerSet");
	const char *name = pod_annotation(pod, KEY_DEFAULT_CONTAINER);
	size_t position;
	if (json_is_object(set))
		mark_members(&marking, json_get(set, "containers"));
	else if (read != NULL && container_index_find(index, "main", 4, &position))
		mark(&marking, position);
	else if (read == NULL && name != NULL && !is_executor(name) &&
	         container_index_find(index, name, strlen(name), &position))
		mark_listed(&marking, position, known_sidecars);
	return marking.count;
}
