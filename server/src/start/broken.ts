/** What a process ends with when the disk has failed to keep a commit: the others on the folder must not go on either. */
export const brokenExitCode = 70
