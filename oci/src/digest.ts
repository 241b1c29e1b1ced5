import { hash } from 'node:crypto'

declare const digestBrand: unique symbol

/** `<algorithm>:<lower-case hex>`, known to be valid. Comparable with `===`. */
export type Digest = string & { readonly [digestBrand]: true }

/** The registered algorithms of the OCI image-spec; everything else is refused. */
export type DigestAlgorithm = 'sha256' | 'sha512'

const digestPattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

/**
 * Returns undefined for any other algorithm, length or letter case.
 * Spec: OCI image-spec 1.1, descriptor.md, "Registered Algorithms": the hex of both MUST be lower case.
 */
export function parseDigest(text: string): Digest | undefined {
  return digestPattern.test(text) ? (text as Digest) : undefined
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha256:') ? 'sha256' : 'sha512'
}

export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1)
}

/** Hashes bytes that are already in memory; to hash a stream, feed a hash and give its result to `toDigest`. */
export function digestOf(algorithm: DigestAlgorithm, bytes: Uint8Array): Digest {
  return toDigest(algorithm, hash(algorithm, bytes, 'hex'))
}

/** For a hash that we computed ourselves: throws a plain Error when it cannot be one, because that is a bug. */
export function toDigest(algorithm: DigestAlgorithm, hex: string): Digest {
  const digest = parseDigest(`${algorithm}:${hex}`)
  if (digest === undefined) throw new Error(`not a ${algorithm} hash in lower-case hex: ${hex.slice(0, 160)}`)
  return digest
}
