import { algorithmOf, type Digest, digestOf, parseDigest } from './digest.ts'
import {
  decodeBase64,
  type JsonObject,
  optionalString,
  optionalStringMap,
  optionalStrings,
  requiredObject,
  requiredString,
} from './json.ts'
import { ManifestError, quote } from './manifest-error.ts'
import { isForeignLayerType } from './media-type.ts'
import { type Platform, parsePlatform } from './platform.ts'

/** Points at content: of what type, by which digest, how large. */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly urls?: readonly string[]
  readonly platform?: Platform
}

/**
 * at: where the value stands, for messages. Throws `ManifestError`. Unknown fields are ignored.
 * Embedded `data` is checked against size and digest, then dropped: the blob itself is what clients are served.
 * `urls` are looked at only in foreign layers, where a client would follow them instead of asking us.
 * Spec: OCI image-spec 1.1, descriptor.md.
 */
export function parseDescriptor(value: unknown, at = 'descriptor'): Descriptor {
  const descriptor = requiredObject(value, at)
  const mediaType = requiredString(descriptor, 'mediaType', at)
  const digest = requiredDigest(descriptor, 'digest', at)
  const size = requiredSize(descriptor, at)
  const artifactType = optionalString(descriptor, 'artifactType', at)
  const annotations = optionalStringMap(descriptor, 'annotations', at)
  const urls = optionalStrings(descriptor, 'urls', at)
  const platform = descriptor.platform ?? undefined
  checkData(optionalString(descriptor, 'data', at), digest, size, at)
  if (urls && isForeignLayerType(mediaType)) checkForeignUrls(urls, at)
  return {
    mediaType,
    digest,
    size,
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations !== undefined && { annotations }),
    ...(urls !== undefined && { urls }),
    ...(platform !== undefined && { platform: parsePlatform(platform, `${at}.platform`) }),
  }
}

/** Throws `ManifestError`, naming the algorithm when that is all that is wrong. */
export function requiredDigest(object: JsonObject, field: string, at: string): Digest {
  const text = requiredString(object, field, at)
  const digest = parseDigest(text)
  if (digest) return digest
  const algorithm = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*(?=:)/.exec(text.slice(0, 100))?.[0]
  if (algorithm === undefined || algorithm === 'sha256' || algorithm === 'sha512') {
    throw new ManifestError(`${at}.${field} is not a valid digest: ${quote(text)}`)
  }
  throw new ManifestError(`${at}.${field} uses the digest algorithm ${algorithm}; supported are sha256 and sha512`)
}

function requiredSize(descriptor: JsonObject, at: string): number {
  const size = descriptor.size
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new ManifestError(`${at}.size must be a non-negative integer below 2^53`)
  }
  return size
}

function checkData(data: string | undefined, digest: Digest, size: number, at: string): void {
  if (data === undefined) return
  const bytes = decodeBase64(data, 'base64')
  if (!bytes) throw new ManifestError(`${at}.data is not base64`)
  if (bytes.length !== size) throw new ManifestError(`${at}.data has ${bytes.length} bytes, but size says ${size}`)
  if (digestOf(algorithmOf(digest), bytes) !== digest) throw new ManifestError(`${at}.data does not match the digest`)
}

// The pattern refuses what URL would mend in silence: missing slashes, backslashes, whitespace.
const foreignUrlPattern = /^https?:\/\/[^\s/?#\\][^\s#\\]*$/i

function checkForeignUrls(urls: readonly string[], at: string): void {
  for (const url of urls) {
    if (foreignUrlPattern.test(url) && URL.canParse(url)) continue
    throw new ManifestError(`${at}.urls must be http or https, with a host and without a fragment: ${quote(url)}`)
  }
}
