/*
 * publication: one record on its way; what publish.c (its stages) and tell.c (its telling) share.
 * publish.h has the invariants.
 */
#ifndef LASTWORD_OBSERVER_RECORD_PUBLICATION_H
#define LASTWORD_OBSERVER_RECORD_PUBLICATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observer/record/record_writer.h"

struct delivery {
	const char *state; /* NULL: not yet */
	int64_t at;
	unsigned attempts;
	char message[160];
};

struct publication {
	struct publication *previous;
	struct publication *next;
	struct publisher *publisher;
	struct end *end; /* who; no message, context, patterns */
	char *record;    /* NULL: it was found written */
	size_t bytes;
	char name[AGENT_EXIT_NAME_SIZE];
	/* for telling and counting */
	char summary[256];
	char fingerprint[20];
	const char *cause;  /* static */
	const char *source; /* static */
	bool silent;
	bool failed;
	int64_t duration;
	int64_t max_rss_bytes;
	int64_t cpu;
	/* where it is */
	void (*stage)(struct publication *publication);
	struct delivery deliveries[2]; /* by event_target */
	unsigned attempts;             /* of the stage */
	int64_t refused_at;            /* the first refusal to write; 0: none */
	bool unsure;                   /* an attempt to write had no response */
	struct request *request;
	struct timer timer;
};

/* It is done with, and gone. */
void publication_over(struct publication *publication);

/* The stage is run after the delay. */
void publication_enter(struct publication *publication,
                       void (*stage)(struct publication *publication), int64_t delay);

/* The present stage again, later: as kube_retry_delay() says, slowly where the server means it. */
void publication_again(struct publication *publication, const struct kube_response *response);

/* Adds a request about it; takes over path and the body's content. */
void publication_ask(struct publication *publication, const char *method, const char *type,
                     char *path, struct buffer *body, request_finish *finish);

/* The stage TELL: Events to pod and owner, unless a storm drowns them; then status.told. */
void publication_tell(struct publication *publication);

#endif
