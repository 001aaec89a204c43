/* A file of manifests: read as JSON or YAML; every pod that is found in it lies where its pointer
 * says, and is modelled as the webhook would see it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/documents.h"
#include "cli/pods.h"

#define SIZE_LIMIT ((size_t)256 * 1024)

static void require(bool good)
{
	if (!good)
		abort();
}

struct visit {
	struct arena *arena;
	json *root;
	size_t pods;
};

/* The node at a JSON Pointer. */
static json *node_at(json *node, const char *pointer)
{
	while (*pointer == '/' && node != NULL) {
		char token[4096];
		size_t length = 0;
		for (pointer++; *pointer != '/' && *pointer != '\0'; pointer++) {
			char c = *pointer;
			if (c == '~')
				c = *++pointer == '0' ? '~' : '/';
			require(length + 1 < sizeof token);
			token[length++] = c;
		}
		token[length] = '\0';
		node = json_is_array(node) ? json_at(node, strtoul(token, NULL, 10))
		                           : json_get(node, token);
	}
	return node;
}

static bool visit_pod(void *context, const struct found_pod *found)
{
	struct visit *visit = context;
	require(found->kind != NULL && found->name != NULL && found->path != NULL);
	if (found->origin != POD_OF_ARGO && strlen(found->pointer) < 4096)
		require(node_at(visit->root, found->pointer) == found->pod);
	json *pod = pod_as_created(visit->arena, found);
	return pod != NULL && ++visit->pods < 1000;
}

static void visit_none(void *context, const struct no_pod *none)
{
	(void)context;
	require(none->kind != NULL && none->name != NULL && none->why[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct documents documents;
	struct error error = {""};
	if (size > SIZE_LIMIT)
		return 0;
	if (!documents_parse((const char *)data, size, &documents, &error)) {
		require(error.message[0] != '\0');
		return 0;
	}
	struct visit visit = {.arena = documents.arena};
	const struct pod_visitor visitor = {visit_pod, visit_none, &visit};
	for (size_t i = 0; i < documents.count; i++) {
		visit.root = documents.items[i].root;
		pods_visit(documents.arena, visit.root, &visitor);
	}
	documents_free(&documents);
	return 0;
}
