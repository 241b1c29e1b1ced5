/** A start that cannot be: one clear sentence for the terminal, exit code 1. */
export class StartError extends Error {
  override readonly name = 'StartError'
}
