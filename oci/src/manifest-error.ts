/** A manifest that cannot be accepted. The message says which field and why, in words fit for the client that sent it. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError'
}

/** Client text inside a message: quoted, control characters escaped, cut to a readable length. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text)
}
