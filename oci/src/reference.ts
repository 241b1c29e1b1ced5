import { type Digest, parseDigest } from './digest.ts'

const repositoryNameLimit = 255
// Separators and alphanumerics share no character, so there is one way to match and nothing to backtrack into.
const pathComponent = '[a-z0-9]+(?:(?:\\.|__?|-+)[a-z0-9]+)*'
const repositoryNamePattern = new RegExp(`^${pathComponent}(?:/${pathComponent})*$`)
const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/

/**
 * At most 255 characters, the host not counted.
 * Spec: OCI distribution-spec 1.1, "Pulling manifests", `<name>`.
 */
export function isRepositoryName(text: string): boolean {
  return text.length <= repositoryNameLimit && repositoryNamePattern.test(text)
}

/** Spec: OCI distribution-spec 1.1, "Pulling manifests", `<reference>` as a tag: 1 to 128 characters. */
export function isTag(text: string): boolean {
  return tagPattern.test(text)
}

/**
 * Reads what stands after `/manifests/`. Text with a colon must be a digest, since no tag holds one.
 * Returns undefined for text that is neither.
 */
export function parseReference(text: string): { readonly digest: Digest } | { readonly tag: string } | undefined {
  if (!text.includes(':')) return isTag(text) ? { tag: text } : undefined
  const digest = parseDigest(text)
  return digest && { digest }
}
