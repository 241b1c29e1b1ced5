import { type Digest, parseDigest } from '@berth/oci'

/** For digests read back from our own tables. */
export function storedDigest(text: string): Digest {
  const digest = parseDigest(text)
  if (digest === undefined) throw new Error(`the database holds a malformed digest: ${text}`)
  return digest
}
