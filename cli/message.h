/*
 * message: what a command says to the person who runs it, on standard error: "lastword COMMAND: …",
 * one line, safe for a terminal whatever the text is made of.
 */
#ifndef LASTWORD_CLI_MESSAGE_H
#define LASTWORD_CLI_MESSAGE_H

void message(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
