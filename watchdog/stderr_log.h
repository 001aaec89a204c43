/*
 * stderr_log: one line on stderr, in one write(2), beginning with "lastword: ". It is the only log
 * inside the agent's pod: a line says what of lastword does not work, and how the agent goes on
 * without it. Failures are ignored; a line that stderr does not take within 100 ms is lost.
 */
#ifndef LASTWORD_WATCHDOG_STDERR_LOG_H
#define LASTWORD_WATCHDOG_STDERR_LOG_H

void stderr_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* With ": <strerror(number)>" at the end. */
void stderr_log_errno(int number, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
