/*
 * image_cache: what images run that pods name by digest, as far as it is known; and which of them
 * somebody should find out about (image_resolver.h). No I/O, no clock.
 *
 * A review asks with image_cache_find() and never waits: an image that is not known is noted, and
 * the pod is decided about as if nothing were known of its image. What a digest names never
 * changes, so that what is known stays right for ever.
 *
 *   unknown ──find()──► WANTED ──take()──► TAKEN ──put()──► KNOWN
 *                          ▲                  │
 *                          └── find(), and the time has come ── FAILED ◄── fail()
 *
 * Bounds: IMAGE_CACHE_MAX images, of which the one that was asked for longest ago gives way, and
 * IMAGE_CACHE_SHARE of one namespace, of which its own gives way; IMAGE_COMMAND_MAX bytes of a
 * command. An entry that is TAKEN never gives way.
 *
 * Thread safety: every function from any thread.
 */
#ifndef LASTWORD_WEBHOOK_IMAGE_CACHE_H
#define LASTWORD_WEBHOOK_IMAGE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/document/json.h"
#include "lib/document/strings.h"

#define IMAGE_CACHE_MAX   1024
#define IMAGE_CACHE_SHARE 128
#define IMAGE_COMMAND_MAX ((size_t)4096) /* bytes of ENTRYPOINT and CMD, a NUL for each text */
#define IMAGE_NAME_SIZE   640
#define IMAGE_RETRY_FIRST (60 * SECOND)
#define IMAGE_RETRY_MAX   (3600 * SECOND)

struct image_cache;

/* NULL: no memory. */
struct image_cache *image_cache_new(void);
/* NULL is fine. */
void image_cache_free(struct image_cache *cache);

/* The image is named by a digest, and short enough: it can be asked for. */
bool image_cache_takes(const char *image);

/* What the image runs; the texts are copied into the arena. False: it is not known yet, or there is
 * no memory. namespace: who asks. */
bool image_cache_find(struct image_cache *cache, struct arena *arena, const char *namespace,
                      const char *image, struct strings *ret_entrypoint, struct strings *ret_cmd);

/* The next image to find out about; the caller says with image_cache_put() what came of it. now:
 * monotonic, nanoseconds. False: none before *ret_next (INT64_MAX: none that is known of). */
bool image_cache_take(struct image_cache *cache, int64_t now, char ret_image[IMAGE_NAME_SIZE],
                      int64_t *ret_next);

/* The image runs this. False: the command is too long, or there is no memory: nothing has changed.
 */
bool image_cache_put(struct image_cache *cache, const char *image, const struct strings *entrypoint,
                     const struct strings *cmd);
/* It could not be found out: again after IMAGE_RETRY_FIRST, then twice as long each time up to
 * IMAGE_RETRY_MAX, if somebody still asks. */
void image_cache_fail(struct image_cache *cache, const char *image, int64_t now);

/* Waits until image_cache_take() may have something, image_cache_wake() was called, or until then
 * (monotonic). */
void image_cache_wait(struct image_cache *cache, int64_t until);
void image_cache_wake(struct image_cache *cache);

#endif
