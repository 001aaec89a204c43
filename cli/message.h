/*
 * message: a line on standard error for the person who runs a command: "lastword COMMAND: …". Safe
 * for a terminal whatever the text is made of.
 */
#ifndef LASTWORD_CLI_MESSAGE_H
#define LASTWORD_CLI_MESSAGE_H

void message(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A warning of the webhook without its "lastword: ", which a message begins with anyway. */
const char *warning_for_person(const char *warning);

#endif
