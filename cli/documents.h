/*
 * documents: what a person has in files, and the pods in it.
 *
 * A file is JSON (one value) or YAML (several documents). A document is a Pod; something with a pod
 * template (spec.template, CronJob's spec.jobTemplate.spec.template, PodTemplate's template); a
 * List of any of these; an AdmissionReview of a pod's creation, whose object is the pod; or an Argo
 * Workflow, of which the pods that Argo would make are modelled: read-only, since only Argo makes
 * them. Other kinds have no pods.
 */
#ifndef LASTWORD_CLI_DOCUMENTS_H
#define LASTWORD_CLI_DOCUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/document/json.h"

/* The largest file. */
#define DOCUMENTS_SIZE_MAX ((size_t)32 * 1024 * 1024)

struct document {
	json *root;
	const char *text; /* as it stands in the file, without "---" */
	size_t length;
};

struct documents {
	struct arena *arena; /* owns everything */
	char *text;
	struct document *items;
	size_t count;
	bool is_json;
};

/* path "-" is standard input. error begins with the path, and has the place for syntax errors. */
bool documents_load(const char *path, struct documents *ret_documents, struct error *error);
void documents_free(struct documents *documents);

/* A pod found in a document. */
struct found_pod {
	json *pod;             /* metadata and spec; in the document's tree unless is_model */
	const char *pointer;   /* where it is: a JSON Pointer, "" for the document itself */
	const char *namespace; /* NULL: the document does not say */
	const char *kind;      /* of the object it is in */
	const char *name;      /* the object's; "" when it has none */
	bool is_model;         /* made up after an Argo template */
};

/* Calls visit for every pod in a document, in order, until one returns false (which is returned).
 * False with error set when there is no memory. */
bool documents_each_pod(struct arena *arena, json *root,
                        bool (*visit)(void *context, const struct found_pod *found), void *context);

#endif
