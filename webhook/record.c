#include "webhook/record.h"

#include "lib/base/buffer.h"
#include "lib/base/duration.h"
#include "lib/base/json_write.h"
#include "lib/base/timestamp.h"

static const char *outcome(const struct plan *plan)
{
	if (plan->reason != REASON_APPLIED || plan->rule == NULL)
		return "skipped";
	return plan->rule->shadow ? "shadow" : "injected";
}

static const char *sidecar(const struct plan *plan)
{
	if (!plan->watchdog)
		return "none";
	return plan->native ? "native" : "classic";
}

static void write_duration(struct json_writer *writer, const char *key, int64_t nanoseconds)
{
	char storage[64];
	struct buffer text;
	buffer_init_fixed(&text, storage, sizeof storage);
	duration_print(&text, nanoseconds);
	json_write_member(writer, key, buffer_text(&text));
}

static void write_container(struct json_writer *writer, const struct container_plan *container)
{
	json_write_object_begin(writer);
	json_write_member(writer, "name", container->name);
	json_write_key(writer, "applied");
	json_write_array_begin(writer);
	for (size_t part = 0; part < PART_COUNT; part++)
		if (container->parts[part] == REASON_APPLIED)
			json_write_string(writer, part_names[part]);
	json_write_array_end(writer);
	json_write_key(writer, "skipped");
	json_write_object_begin(writer);
	for (size_t part = 0; part < PART_COUNT; part++)
		if (container->parts[part] != REASON_APPLIED)
			json_write_member(writer, part_names[part],
			                  reason_code(container->parts[part]));
	json_write_object_end(writer);
	json_write_object_end(writer);
}

/* What the shim reports of an agent that it does not end: whoever reads the watchdog's reports
 * needs to know when there may be one. */
static void write_reports(struct json_writer *writer, const struct shim_options *shim)
{
	bool deadline = shim->deadline > 0 && shim->on_deadline == ACTION_REPORT;
	bool silence = shim->silence_after > 0 && shim->on_silence == ACTION_REPORT;
	if (!deadline && !silence)
		return;
	json_write_key(writer, "reports");
	json_write_object_begin(writer);
	if (deadline)
		write_duration(writer, "deadline", shim->deadline);
	if (silence)
		write_duration(writer, "silenceAfter", shim->silence_after);
	json_write_object_end(writer);
}

void record_write(const struct plan *plan, const struct config *config, enum reason annotated,
                  struct buffer *out)
{
	struct json_writer writer;
	json_writer_init(&writer, out);
	json_write_object_begin(&writer);
	json_write_member(&writer, "version", LASTWORD_VERSION);
	json_write_member(&writer, "config", config->hash);
	if (plan->rule != NULL)
		json_write_member(&writer, "rule", plan->rule->name);
	json_write_member(&writer, "outcome", outcome(plan));
	if (plan->reason != REASON_APPLIED) {
		json_write_member(&writer, "reason", reason_code(plan->reason));
	} else {
		json_write_member(&writer, "sidecar", sidecar(plan));
		if (plan->watchdog && plan->user_of_scc)
			json_write_member(&writer, "user", "scc");
		json_write_member_time(&writer, "trial", plan->trial);
		json_write_key(&writer, "containers");
		json_write_array_begin(&writer);
		for (size_t i = 0; i < plan->container_count; i++)
			write_container(&writer, &plan->containers[i]);
		json_write_array_end(&writer);
		if (plan->rule != NULL && plan->rule->fail_when_silent)
			json_write_member(&writer, "onSilentExit", "fail-pod");
		if (plan->watchdog)
			write_reports(&writer, &plan->shim);
	}
	if (annotated != REASON_APPLIED)
		json_write_member(&writer, "annotation", reason_code(annotated));
	json_write_object_end(&writer);
}
