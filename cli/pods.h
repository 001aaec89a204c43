/*
 * pods: the pods that come of a Kubernetes object.
 *
 * A Pod; whatever has a pod template, found by its shape at any depth: a member named template, or
 * …Template, with spec.containers (Deployment, CronJob, JobSet, RayJob, PyTorchJob, Volcano's Job
 * and so on); the object of an AdmissionReview that creates a pod; a List of any of these; the pods
 * that Argo would make of a Workflow (argo.h).
 *
 * The webhook sees a pod as its controller created it, with labels that the file does not show:
 * pod_as_created() adds those that are known (controller_labels.h).
 */
#ifndef LASTWORD_CLI_PODS_H
#define LASTWORD_CLI_PODS_H

#include <stdbool.h>

#include "lib/document/json.h"

enum pod_origin {
	POD_ITSELF,     /* a Pod, or a review's object */
	POD_TEMPLATE,   /* in the document's tree */
	POD_OF_ARGO,    /* made up: only Argo makes the pod, nothing in the document is it */
	POD_OF_KNATIVE, /* a template that has to stay as it is: Knative refuses lifecycle hooks */
};

struct found_pod {
	enum pod_origin origin;
	json *pod;             /* metadata and spec */
	const json *object;    /* that it was found in */
	const char *pointer;   /* where it is in the document: a JSON Pointer, "" for all of it */
	const char *path;      /* the same within object */
	const char *namespace; /* NULL: the object names none */
	const char *kind;      /* the object's; "" when it has none */
	/* The object's name or generateName, of Argo's the template's; "(no name)" without one. */
	const char *name;
};

/* An object that no pod comes of. */
struct no_pod {
	const char *kind;
	const char *name;
	const char *why;
};

struct pod_visitor {
	bool (*pod)(void *context, const struct found_pod *found);
	void (*no_pod)(void *context, const struct no_pod *none);
	void *context;
};

/* Calls the visitor for every pod of a document, in order, until one returns false, which is
 * returned. False also when there is no memory. */
bool pods_visit(struct arena *arena, json *root, const struct pod_visitor *visitor);

/* A copy of the pod as the webhook would see it: with the labels of its controller, and without
 * nulls, which the API server drops. NULL: no memory. */
json *pod_as_created(struct arena *arena, const struct found_pod *found);

#endif
