/*
 * refusal: whether the API server refused a pod because of lastword's container, as far as the
 * message of an owner's FailedCreate Event says. Pure.
 *
 *   a policy that names our container and no other             PodSecurity, Kyverno, Gatekeeper …
 *   a quota that wants a value of our container alone          "must specify limits.cpu for: …"
 *   a quota that the pod would keep without our amounts        "exceeded quota: …"
 *   a LimitRange whose complaints quote our amounts, or that
 *     the pod would keep without them                          "minimum cpu usage per Container …"
 *
 * A LimitRange does not name the container (Kubernetes: plugin/pkg/admission/limitranger), so our
 * amounts stand for it: those of the configuration's sidecar and of its rules. What one container
 * of an agent's has in common with ours, to the digit, is taken for ours.
 *
 * A message counts only if every complaint in it is about us: without us the pod would have been
 * created. What cannot be read is not about us.
 *
 * Messages are untrusted: whoever may create Events can write them. They concern his namespace
 * alone. Work is linear in the message, of which REFUSAL_MESSAGE_MAX bytes are looked at.
 */
#ifndef LASTWORD_OBSERVER_GUARD_REFUSAL_H
#define LASTWORD_OBSERVER_GUARD_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

#include "observer/audit/injection_policy.h"

#define REFUSAL_MESSAGE_MAX ((size_t)4096)

bool refusal_is_ours(const char *message, const struct sidecar_amount *amounts, size_t count);

#endif
