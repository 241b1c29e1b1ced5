/**
 * Docker's image manifest version 2, schema 1: the format of before 2016, kept readable for old images.
 * Spec: distribution 2.8, docs/spec/manifest-v2-1.md.
 */
import { type Descriptor, requiredDigest } from './descriptor.ts'
import {
  decodeBase64,
  type JsonObject,
  parseJsonObject,
  requiredArray,
  requiredObject,
  requiredString,
} from './json.ts'
import { ManifestError } from './manifest-error.ts'

const layerType = 'application/vnd.docker.image.rootfs.diff.tar.gzip'

export interface Schema1Fields {
  readonly name: string
  readonly tag: string
  /** Newest first, as the format has it. `size` is 0: the format states none. */
  readonly layers: readonly Descriptor[]
}

/** Throws `ManifestError`. `history` must have one entry for each layer; its content is left to clients. */
export function parseSchema1Fields(body: JsonObject): Schema1Fields {
  const layers = requiredArray(body, 'fsLayers').map((value, index): Descriptor => {
    const at = `fsLayers[${index}]`
    return { mediaType: layerType, digest: requiredDigest(requiredObject(value, at), 'blobSum', at), size: 0 }
  })
  const history = requiredArray(body, 'history')
  if (history.length !== layers.length) {
    throw new ManifestError(`history has ${history.length} entries, but fsLayers has ${layers.length}`)
  }
  for (const [index, value] of history.entries()) {
    const at = `history[${index}]`
    requiredString(requiredObject(value, at), 'v1Compatibility', at)
  }
  return { name: requiredString(body, 'name'), tag: requiredString(body, 'tag'), layers }
}

/**
 * What the signatures of a `+prettyjws` body sign: the bytes as they were before `signatures` was added.
 * Their hash is the manifest's digest. All signatures must describe the same payload, and the payload must say what
 * the body says, for some clients read the one and some the other. Throws `ManifestError`.
 * The signatures themselves are NOT verified: trust in them ended with Docker 1.10, which pulls by digest instead.
 * Spec: libtrust, jsonsign.go, `ParsePrettySignature`: payload = body[0..formatLength] + formatTail.
 */
export function signedPayload(bytes: Uint8Array, body: JsonObject): Uint8Array {
  const [first, ...others] = requiredArray(body, 'signatures').map(parseFormat)
  if (!first) throw new ManifestError('signatures must not be empty')
  if (others.some(({ length, tail }) => length !== first.length || tail !== first.tail)) {
    throw new ManifestError('signatures must all sign the same payload')
  }
  const tail = decodeBase64(first.tail, 'base64url')
  if (!tail || first.length > bytes.length) throw new ManifestError('signatures[0].protected has an unusable format')
  const payload = Buffer.concat([bytes.subarray(0, first.length), tail])
  if (!saysTheSame(payload, body)) throw new ManifestError('the signed payload differs from the manifest around it')
  return payload
}

/** The part of a signature's protected header that tells how to get the payload back. */
interface Format {
  readonly length: number
  /** Still in base64url. */
  readonly tail: string
}

function parseFormat(value: unknown, index: number): Format {
  const at = `signatures[${index}]`
  const text = requiredString(requiredObject(value, at), 'protected', at)
  const bytes = decodeBase64(text, 'base64url')
  const header = bytes && parseJsonObject(bytes)
  const length = header?.formatLength
  const tail = header?.formatTail
  if (typeof length !== 'number' || !Number.isSafeInteger(length) || length < 0 || typeof tail !== 'string') {
    throw new ManifestError(`${at}.protected must hold formatLength and formatTail`)
  }
  return { length, tail }
}

function saysTheSame(payload: Uint8Array, body: JsonObject): boolean {
  const signed = parseJsonObject(payload)
  // Both come from the same text, so their fields have the same order.
  return signed !== undefined && JSON.stringify(signed) === JSON.stringify({ ...body, signatures: undefined })
}
