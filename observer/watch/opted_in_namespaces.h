/*
 * opted_in_namespaces: the namespaces whose new pods the webhook is asked about: those with the
 * label lastword.dev/inject=enabled, but for lastword's own and kube-system, as the
 * MutatingWebhookConfiguration says (manifests/base/webhook-configuration.yaml). Kept by one watch.
 * No I/O of its own: requests to the event loop.
 *
 * since is when the label was set, as far as the API server's managedFields tell: pods that are
 * older were never shown to the webhook.
 *
 * Invariants:
 *  - Sorted by name, each name once; names of namespaces that are gone, or have lost the label, are
 *    not there after the event, or the list, that says so.
 *  - changed() is called on a later turn of the event loop, after one or more changes, and once
 *    when the first list is complete. OPTED_IN_BURST times at once, and every OPTED_IN_APART in the
 *    long run: it has all pods listed anew, and whoever may label a namespace could have that as
 *    often as he likes. Only for pods that are older than the label it matters when it comes.
 */
#ifndef LASTWORD_OBSERVER_WATCH_OPTED_IN_NAMESPACES_H
#define LASTWORD_OBSERVER_WATCH_OPTED_IN_NAMESPACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/audit/injection_policy.h"
#include "observer/base/event_loop.h"
#include "observer/watch/watcher.h"

#define OPTED_IN_BURST 10
#define OPTED_IN_APART (300 * SECOND)

struct opted_in_namespace {
	char name[64];
	int64_t since; /* nanoseconds since 1970; 0: unknown */
	uint64_t list; /* the number of the last list that it was in */
};

struct opted_in_namespaces {
	struct event_loop *loop;
	const char *own; /* namespace of lastword */
	struct watcher watcher;
	struct opted_in_namespace *items;
	size_t count;
	size_t size;
	uint64_t list; /* the number of the present list */
	bool complete; /* one was */
	struct timer announcement;
	int64_t paid_until; /* each one costs OPTED_IN_APART, the burst is on credit */
	void (*changed)(void *context);
	void *context;
};

bool opted_in_namespaces_init(struct opted_in_namespaces *namespaces, struct event_loop *loop,
                              const char *own, int64_t idle, void (*changed)(void *context),
                              void *context);
void opted_in_namespaces_start(struct opted_in_namespaces *namespaces);
/* May be called again, and without init() for zeroed memory. */
void opted_in_namespaces_free(struct opted_in_namespaces *namespaces);

struct opt_in opted_in_namespaces_find(const struct opted_in_namespaces *namespaces,
                                       const char *name);

#endif
