/*
 * kube_list: all objects of a list of the API server, page by page, through kubectl.
 *
 * A list that outlives the server's memory of its state ("410 Gone, Expired", after some minutes)
 * is begun anew, a few times.
 */
#ifndef LASTWORD_CLI_KUBE_LIST_H
#define LASTWORD_CLI_KUBE_LIST_H

#include <stdbool.h>

#include "cli/kubectl.h"
#include "lib/base/error.h"
#include "lib/document/json.h"

struct buffer;

struct kube_list_visitor {
	/* One object, which lives as long as the arena: until the next page. False: error is set.
	 */
	bool (*item)(void *context, struct arena *arena, json *item, struct error *error);
	/* The list is begun anew: what was visited does not count. */
	void (*restart)(void *context);
	void *context;
	struct buffer *resource_version; /* gets the list's; NULL: not wanted */
};

/* path: of the list, with a query that begins with "?limit=". */
bool kube_list_visit(const struct kubectl *kubectl, const char *path,
                     const struct kube_list_visitor *visitor, struct error *error);

#endif
