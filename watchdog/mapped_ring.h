/*
 * mapped_ring: a ring in memory of its own, which the watchdog may share with a shim.
 *
 * A shared ring is a memfd, allocated and sealed: its pages are charged to the watchdog's cgroup,
 * because the watchdog touches them first; nobody can shrink it, so reading it never raises SIGBUS;
 * it outlives every process that writes to it. Each shim gets a new one: the process of the last
 * shim may still have the old one.
 */
#ifndef LASTWORD_WATCHDOG_MAPPED_RING_H
#define LASTWORD_WATCHDOG_MAPPED_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/base/ring.h"

struct mapped_ring {
	struct ring ring; /* in map */
	void *map;        /* NULL: none */
	size_t map_size;
};

/* A ring of size bytes in a new memfd. *ret_fd is the caller's to close, *ret_ring to free with
 * mapped_ring_free(). */
bool mapped_ring_create_shared(size_t size, struct mapped_ring *ret_ring, int *ret_fd,
                               struct error *error);

/* The same, for this process only. */
bool mapped_ring_create_private(size_t size, struct mapped_ring *ret_ring, struct error *error);

/* Frees the memory, also the pages of a memfd that another process still maps, and leaves {0}. */
void mapped_ring_free(struct mapped_ring *ring);

#endif
