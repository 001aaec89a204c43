/*
 * payload: the body of a request that notifies a receiver. Pure.
 *
 *   webhook        the settings' template; one notice a request
 *   otlp           OTLP/HTTP logs as JSON (opentelemetry-proto 1.x, ExportLogsServiceRequest), with
 *                  the semantic conventions of Kubernetes and of exceptions
 *   alertmanager   POST /api/v2/alerts: an array of alerts
 *   loki           POST /loki/api/v1/push: one stream for each notice, the line is JSON
 *   cloudevents    CloudEvents 1.0 over HTTP, structured, or binary (attributes in headers)
 *
 * Texts are written safely (json_write.h); numbers that do not fit into a double are strings, as
 * the formats want them.
 */
#ifndef LASTWORD_OBSERVER_RECEIVER_PAYLOAD_H
#define LASTWORD_OBSERVER_RECEIVER_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "observer/receiver/notice.h"

struct buffer;
struct json_writer;

#define PAYLOAD_MAX       ((size_t)1024 * 1024)
#define PAYLOAD_BATCH_MAX 64 /* notices in a request */

/* An alert that is not re-sent counts as resolved after so long (Prometheus: 4 evaluations). */
#define PAYLOAD_ALERT_LASTS (INT64_C(300) * SECOND)

/* How many notices a request of that type may carry. */
size_t payload_batch(enum receiver_type type);
/* The value of Content-Type. Static. */
const char *payload_content_type(const struct receiver_settings *settings);
/* Appends the body for count notices, all of the same settings. wall: now. Ask buffer_ok(). */
void payload_write(const struct notice *notices, size_t count, int64_t wall, struct buffer *out);

/* Of CloudEvents in binary mode: the header lines of a notice, one to a call (number 0, 1, …).
 * False: there are no more. */
bool payload_header(const struct notice *notice, size_t number, struct buffer *out);

/* One alert of Alertmanager; ends_at: nanoseconds since 1970. */
void payload_write_alert(const struct notice *notice, int64_t ends_at, struct json_writer *writer);

/* "00-<32 hex>-<16 hex>-<2 hex>" (W3C Trace Context) is valid; the ids are at text + 3 and + 36. */
bool payload_traceparent_valid(const char *text);

#endif
