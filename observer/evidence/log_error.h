/*
 * log_error: tells a kubelet's error text from the log that it comes in place of, or behind. Pure.
 *
 * GET pods/log answers 200 as soon as the kubelet has found the container; what fails after that
 * is appended to the body (Kubernetes: GetKubeletContainerLogs writes zero bytes to begin the
 * response, getContainerLogs then calls response.WriteError, which cannot change the status any
 * more). Such a text
 *   - is the last thing in the body, one line, and has no line end (go-restful writes the error
 *     as it is);
 *   - stands alone, or behind what was read of the log until then; without a line end in between
 *     when the container's last line had none;
 *   - begins with one of the words in log_error.c, each with its place in Kubernetes' sources.
 *
 * The API server passes the body on as it is; its own errors have a status of their own.
 *
 * Invariants:
 *  - Only the end of the last line is ever taken for an error: an agent that prints the same words
 *    and goes on is not mistaken, nor one that ends its line, except where such a line is the whole
 *    body and names a container ID or a kubelet's log path.
 *  - Behind text of the same line an error is recognised only by what no agent knows of itself: a
 *    container ID of 64 hexadecimal digits, or the path of a container's log on its node.
 */
#ifndef LASTWORD_OBSERVER_EVIDENCE_LOG_ERROR_H
#define LASTWORD_OBSERVER_EVIDENCE_LOG_ERROR_H

#include <stddef.h>

/* Where in the body of a 200 the kubelet's error begins: what is before it is the container's
 * output. length: there is no error. */
size_t log_error_find(const char *body, size_t length);

#endif
