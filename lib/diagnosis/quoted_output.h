/*
 * quoted_output: where a coding agent's plain transcript quotes what a command printed that it ran
 * as a tool. A panic or a traceback in there is what the agent works on, and not how it ended.
 *
 * Known are the headings of Codex ("bash -lc 'cargo test' … exited 101 in 3.4s:" up to "codex",
 * "exec", "tokens used" or its own "ERROR: "), of OpenHands ("--BEGIN AGENT OBSERVATION--") and of
 * SWE-agent ("OBSERVATION: " up to "THOUGHT:" or "ACTION").
 * Event streams in JSON are the business of json_line.h.
 *
 * Pure, no heap, linear in the line.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_QUOTED_OUTPUT_H
#define LASTWORD_LIB_DIAGNOSIS_QUOTED_OUTPUT_H

#include <stdbool.h>

#include "lib/diagnosis/log_line.h"

/* Whether quoted output goes on behind the line, where quoted says whether it did before it. */
bool quoted_output_goes_on(const struct log_line *line, bool quoted);

#endif
