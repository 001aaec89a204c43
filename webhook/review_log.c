#include "webhook/review_log.h"

#include "lib/http/connections.h"

static const struct log_rate own_rate = {.each_second = 10, .burst = 50};
static const struct log_rate each_rate = {.each_second = 90, .burst = 200};
static const struct log_rate all_rate = {.each_second = 500, .burst = 1000};
static const struct log_rate trouble_rate = {.each_second = 1, .burst = 20};

bool review_log_pass(struct review_log *log, const char *client, bool trouble, int64_t now,
                     uint64_t *ret_dropped)
{
	unsigned place = connection_client_place(client, REVIEW_LOG_PLACES);
	uint64_t dropped = 0;
	if (trouble)
		return log_limit_pass_at(&log->trouble[place], &trouble_rate, now, ret_dropped);
	if (log_limit_pass_at(&log->own[place], &own_rate, now, ret_dropped))
		return true;
	if (!log_limit_pass_at(&log->each[place], &each_rate, now, &dropped) ||
	    !log_limit_pass_at(&log->all, &all_rate, now, &dropped))
		return false;
	dropped = atomic_exchange(&log->own[place].dropped, 0);
	*ret_dropped = dropped > 0 ? dropped - 1 : 0; /* this one is not */
	return true;
}

void review_log_write(struct review_log *log, const char *client,
                      const struct admission_response *response, int64_t now)
{
	if (response->result == ADMISSION_IGNORED || response->result == ADMISSION_UNMATCHED)
		return;
	bool trouble = response->result == ADMISSION_VERIFICATION_FAILED ||
	               response->result == ADMISSION_INVALID;
	uint64_t dropped = 0;
	if (!review_log_pass(log, client, trouble, now, &dropped))
		return;
	struct log_line line;
	log_begin(&line, trouble ? LOG_WARNING : LOG_INFO, "admission");
	log_text(&line, "result", admission_result_name(response->result));
	log_text(&line, "client", client);
	log_text(&line, "namespace", response->namespace);
	log_text(&line, "pod", response->pod);
	const char *problem = response->problem.message;
	log_text(&line, "problem", problem[0] == '\0' ? NULL : problem);
	log_json(&line, "decision", response->record);
	if (dropped > 0)
		log_integer(&line, "dropped_lines", (int64_t)dropped);
	log_end(&line);
}
