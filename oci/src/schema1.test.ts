import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf } from './digest.ts'
import { digestOfManifest, parseManifest } from './manifest.ts'
import { ManifestError } from './manifest-error.ts'
import { mediaTypes } from './media-type.ts'

type Fields = Record<string, unknown>

const layerDigest = digestOf('sha256', Buffer.from('layer'))

function aManifest(fields: Fields = {}): Fields {
  return {
    schemaVersion: 1,
    name: 'library/old',
    tag: 'v1',
    architecture: 'amd64',
    fsLayers: [{ blobSum: layerDigest }],
    history: [{ v1Compatibility: '{"id":"1"}' }],
    ...fields,
  }
}

const base64url = (text: string) => Buffer.from(text).toString('base64url')

/** As libtrust signs: the payload without its closing brace, the signatures, then a new end. */
function signed(payload: string, given: { format?: Fields; count?: number; tail?: string } = {}): Buffer {
  const end = payload.lastIndexOf('\n}')
  const format = { formatLength: end, formatTail: base64url(payload.slice(end)), ...given.format }
  const signature = { header: { alg: 'ES256' }, signature: 'AAAA', protected: base64url(JSON.stringify(format)) }
  const signatures = JSON.stringify(Array(given.count ?? 1).fill(signature))
  return Buffer.from(`${payload.slice(0, end)},\n   "signatures": ${signatures}${given.tail ?? ''}\n}`)
}

const payload = JSON.stringify(aManifest(), undefined, 3)

function refuses(bytes: Uint8Array | string, mediaType: string, message: RegExp): void {
  assert.throws(
    () => parseManifest(Buffer.from(bytes), mediaType),
    (error) => {
      assert.ok(error instanceof ManifestError, String(error))
      assert.match(error.message, message)
      return true
    },
  )
}

describe('schema 1 manifest', () => {
  test('name, tag and layers are read, and the digest is that of the bytes', () => {
    const bytes = Buffer.from(payload)
    const doc = parseManifest(bytes, mediaTypes.dockerSchema1)
    assert.deepEqual(doc, {
      mediaType: mediaTypes.dockerSchema1,
      kind: 'schema1',
      name: 'library/old',
      tag: 'v1',
      layers: [{ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', digest: layerDigest, size: 0 }],
      children: [],
    })
    assert.equal(digestOfManifest(doc, bytes, 'sha256'), digestOf('sha256', bytes))
  })

  for (const [what, fields, message] of [
    ['schemaVersion 2', { schemaVersion: 2 }, /schemaVersion must be 1/],
    ['no name', { name: undefined }, /name must be/],
    ['an empty tag', { tag: '' }, /tag must be/],
    ['no fsLayers', { fsLayers: undefined }, /fsLayers must be an array/],
    ['a layer without digest', { fsLayers: [{}] }, /fsLayers\[0\]\.blobSum/],
    ['a tarsum', { fsLayers: [{ blobSum: 'tarsum+sha256:00' }] }, /fsLayers\[0\]\.blobSum .* tarsum\+sha256/],
    ['null as layer', { fsLayers: [null] }, /fsLayers\[0\] must be an object/],
    ['no history', { history: null }, /history must be an array/],
    ['more layers than history', { history: [] }, /history has 0 entries, but fsLayers has 1/],
    ['an object as history', { history: [{ v1Compatibility: {} }] }, /history\[0\]\.v1Compatibility/],
    ['layers', { layers: [] }, /kind schema1 must not have layers/],
    ['manifests', { manifests: [] }, /must not have manifests/],
    ['the mediaType of schema 2', { mediaType: mediaTypes.dockerManifest }, /mediaType is/],
  ] as const) {
    test(`schema 1 is refused with ${what}`, () => {
      refuses(JSON.stringify(aManifest(fields)), mediaTypes.dockerSchema1, message)
    })
  }
})

describe('signed schema 1 manifest', () => {
  for (const count of [1, 3]) {
    test(`the digest is that of the payload, with ${count} signatures`, () => {
      const bytes = signed(payload, { count })
      const doc = parseManifest(bytes, mediaTypes.dockerSchema1Signed)
      assert.equal(doc.name, 'library/old')
      assert.equal(Buffer.from(doc.payload!).toString(), payload)
      assert.equal(digestOfManifest(doc, bytes, 'sha256'), digestOf('sha256', Buffer.from(payload)))
    })
  }

  test('a tail with base64 padding is read too', () => {
    const padded = { formatTail: `${base64url('\n}')}=` }
    assert.ok(parseManifest(signed(payload, { format: padded }), mediaTypes.dockerSchema1Signed).payload)
  })

  for (const [what, bytes, message] of [
    ['no signatures', payload, /signatures must be an array/],
    ['empty signatures', signed(payload, { count: 0 }), /signatures must not be empty/],
    ['null as signature', JSON.stringify(aManifest({ signatures: [null] })), /signatures\[0\] must be an object/],
    ['no protected header', JSON.stringify(aManifest({ signatures: [{}] })), /signatures\[0\]\.protected/],
    [
      'a protected header that is not base64',
      JSON.stringify(aManifest({ signatures: [{ protected: '*' }] })),
      /signatures\[0\]\.protected must hold/,
    ],
    [
      'a protected header that is not JSON',
      JSON.stringify(aManifest({ signatures: [{ protected: base64url('{') }] })),
      /signatures\[0\]\.protected must hold/,
    ],
    ['a negative length', signed(payload, { format: { formatLength: -1 } }), /must hold formatLength/],
    ['a broken length', signed(payload, { format: { formatLength: 1.5 } }), /must hold formatLength/],
    ['no tail', signed(payload, { format: { formatTail: undefined } }), /must hold formatLength and formatTail/],
    ['a tail that is not base64', signed(payload, { format: { formatTail: '*' } }), /unusable format/],
    ['a length beyond the end', signed(payload, { format: { formatLength: 1e6 } }), /unusable format/],
    ['a payload that is no JSON', signed(payload, { format: { formatLength: 5 } }), /payload differs/],
    [
      'a payload of its own',
      signed(payload, {
        format: { formatLength: 0, formatTail: base64url(JSON.stringify(aManifest({ name: 'other' }))) },
      }),
      /payload differs/,
    ],
    ['a new field after the signatures', signed(payload, { tail: ', "other": "other"' }), /payload differs/],
    ['an old field after the signatures', signed(payload, { tail: ', "name": "other"' }), /"name" is there twice/],
  ] as const) {
    test(`signed schema 1 is refused with ${what}`, () => refuses(bytes, mediaTypes.dockerSchema1Signed, message))
  }

  test('signatures that sign different payloads are refused', () => {
    const [one, two] = [payload.length - 2, 0].map((formatLength) => ({
      protected: base64url(JSON.stringify({ formatLength, formatTail: base64url('\n}') })),
    }))
    const text = payload.replace(/\n}$/, `,"signatures":${JSON.stringify([one, two])}\n}`)
    refuses(text, mediaTypes.dockerSchema1Signed, /must all sign the same payload/)
  })
})
