/*
 * say: one line on stderr, in one write(2), beginning with "lastword: ". That is all the logging
 * there is inside the agent's pod: a line says that something of ours does not work, and how the
 * agent goes on without it. Never fails visibly; a stderr that does not take it within 100 ms
 * loses it.
 */
#ifndef LASTWORD_WATCHDOG_STDERR_LOG_H
#define LASTWORD_WATCHDOG_STDERR_LOG_H

void stderr_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* With ": <strerror(number)>" at the end. */
void stderr_log_errno(int number, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
