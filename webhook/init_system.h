/*
 * init_system: whether a command ends up as an init system that insists on being process 1, however
 * it is started: behind env, exec, tini and the like, or by a shell. Pure.
 *
 * Wrapped it would refuse to work, so one too many that is taken for one is left alone: the pod is
 * then watched from outside.
 */
#ifndef LASTWORD_WEBHOOK_INIT_SYSTEM_H
#define LASTWORD_WEBHOOK_INIT_SYSTEM_H

#include <stdbool.h>

#include "lib/document/strings.h"

/*
 * words: the command and its arguments. A pattern (lib/base/glob.h) is of the program's word, as it
 * stands; one with a space in it is of the program and its first argument.
 *
 * Seen through, with their options: env and its assignments, and env -S; exec, nohup, setsid,
 * command, nice, ionice and stdbuf; chroot, gosu, su-exec, setuidgid and setpriv; tini, dumb-init
 * and catatonit; vault-env; busybox; sh, bash, dash, ash, zsh and ksh with a script's file, or with
 * -c and a text that is looked at command by command (words between white space and ; & | ( ),
 * quotes taken off, "$@" and $0 replaced): what is executed by exec, and the last command, which a
 * shell may execute in its own place.
 */
bool init_system_runs(const struct strings *patterns, const struct strings *words);

#endif
