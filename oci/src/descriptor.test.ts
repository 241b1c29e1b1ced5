import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseDescriptor } from './descriptor.ts'
import { digestOf } from './digest.ts'
import { ManifestError } from './manifest-error.ts'

const bytes = Buffer.from('{}')
const foreignLayer = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'

function aDescriptor(fields: Record<string, unknown> = {}): Record<string, unknown> {
  return { mediaType: 'application/x', digest: digestOf('sha256', bytes), size: bytes.length, ...fields }
}

describe('descriptor', () => {
  test('media type, digest and size are enough', () => {
    assert.deepEqual(parseDescriptor(aDescriptor()), aDescriptor())
  })

  test('optional fields are kept, unknown fields and checked data are not', () => {
    const kept = aDescriptor({
      artifactType: 'application/y',
      annotations: { 'a.b': 'c', '': '' },
      urls: ['ftp://anything/#goes'],
      platform: {
        architecture: 'arm64',
        os: 'windows',
        variant: 'v8',
        'os.version': '10.0',
        'os.features': ['win32k'],
        features: ['sse4'],
      },
    })
    assert.deepEqual(parseDescriptor({ ...kept, data: bytes.toString('base64'), other: [1] }), kept)
  })

  test('null in an optional field is the same as its absence', () => {
    const nothing = { artifactType: null, annotations: null, urls: null, platform: null, data: null }
    assert.deepEqual(parseDescriptor(aDescriptor(nothing)), aDescriptor())
  })

  test('a platform without architecture or os has empty ones', () => {
    const { platform } = parseDescriptor(aDescriptor({ platform: {} }))
    assert.deepEqual(platform, { architecture: '', os: '' })
  })

  test('data may match a sha512 digest', () => {
    const digest = digestOf('sha512', bytes)
    assert.equal(parseDescriptor(aDescriptor({ digest, data: bytes.toString('base64') })).digest, digest)
  })

  test('data may be empty', () => {
    const empty = aDescriptor({ digest: digestOf('sha256', Buffer.alloc(0)), size: 0, data: '' })
    assert.equal(parseDescriptor(empty).size, 0)
  })

  for (const url of ['https://example.com/layer', 'HTTP://10.0.0.1:8080/a?b=c', 'https://[::1]/x']) {
    test(`a foreign layer may be at ${url}`, () => {
      assert.deepEqual(parseDescriptor(aDescriptor({ mediaType: foreignLayer, urls: [url] })).urls, [url])
    })
  }

  for (const [what, value, message] of [
    ['null', null, /descriptor must be an object/],
    ['an array', [], /must be an object/],
    ['text', 'sha256:', /must be an object/],
    ['no media type', aDescriptor({ mediaType: undefined }), /descriptor\.mediaType/],
    ['an empty media type', aDescriptor({ mediaType: '' }), /mediaType/],
    ['a number as media type', aDescriptor({ mediaType: 1 }), /mediaType/],
    ['no digest', aDescriptor({ digest: undefined }), /digest must be/],
    ['an object as digest', aDescriptor({ digest: {} }), /digest must be/],
    ['a short digest', aDescriptor({ digest: 'sha256:00' }), /not a valid digest: "sha256:00"/],
    ['an upper-case digest', aDescriptor({ digest: `sha256:${'A'.repeat(64)}` }), /not a valid digest/],
    ['an unsupported algorithm', aDescriptor({ digest: 'blake3:00' }), /algorithm blake3; supported are sha256/],
    ['a tarsum', aDescriptor({ digest: 'tarsum.dev+sha256:00' }), /algorithm tarsum\.dev\+sha256/],
    ['a megabyte of digest', aDescriptor({ digest: 'a-'.repeat(1 << 19) }), /^.{1,200}$/],
    ['no size', aDescriptor({ size: undefined }), /size/],
    ['a negative size', aDescriptor({ size: -1 }), /size/],
    ['half a byte', aDescriptor({ size: 0.5 }), /size/],
    ['a size beyond exact integers', aDescriptor({ size: 2 ** 53 }), /size/],
    ['an infinite size', aDescriptor({ size: Number.POSITIVE_INFINITY }), /size/],
    ['text as size', aDescriptor({ size: '2' }), /size/],
    ['a list of annotations', aDescriptor({ annotations: ['a'] }), /annotations/],
    ['a number as annotation', aDescriptor({ annotations: { a: 1 } }), /annotations/],
    ['null as annotation', aDescriptor({ annotations: { a: null } }), /annotations/],
    ['one URL for a list', aDescriptor({ urls: 'https://a' }), /urls/],
    ['a number among the URLs', aDescriptor({ urls: ['https://a', 1] }), /urls/],
    ['text as platform', aDescriptor({ platform: 'linux/amd64' }), /descriptor\.platform must be an object/],
    ['a list as os', aDescriptor({ platform: { os: ['linux'] } }), /platform\.os must be a string/],
    ['text as os.features', aDescriptor({ platform: { 'os.features': 'a' } }), /os\.features/],
    ['a number as artifact type', aDescriptor({ artifactType: 1 }), /artifactType/],
    ['an object as data', aDescriptor({ data: {} }), /data must be a string/],
    ['data that is not base64', aDescriptor({ data: '!' }), /data is not base64/],
    ['data without padding', aDescriptor({ data: 'e30' }), /data is not base64/],
    ['data with a line feed', aDescriptor({ data: 'e3\n0=' }), /data is not base64/],
    ['data in the URL alphabet', aDescriptor({ data: '_-==' }), /data is not base64/],
    ['data longer than the size', aDescriptor({ data: 'e319' }), /data has 3 bytes, but size says 2/],
    ['data with another digest', aDescriptor({ data: 'e3s=' }), /data does not match the digest/],
  ] as const) {
    test(`a descriptor is refused with ${what}`, () => {
      assert.throws(() => parseDescriptor(value), refusal(message))
    })
  }

  for (const url of [
    '',
    'example.com/layer',
    '//example.com/layer',
    'ftp://example.com/layer',
    'file:///etc/passwd',
    'https:example.com',
    'https:///layer',
    'https://?q',
    'https://:443/layer',
    'https://user@/layer',
    'https:\\\\example.com',
    'https://example.com/a#b',
    'https://example.com/a#',
    ' https://example.com',
    'https://exam\nple.com',
    'https://[::1/x',
    `https://${'a'.repeat(1 << 20)} `,
  ]) {
    test(`a foreign layer is refused at ${JSON.stringify(url.slice(0, 40))}`, () => {
      const descriptor = aDescriptor({ mediaType: foreignLayer, urls: ['https://example.com', url] })
      assert.throws(() => parseDescriptor(descriptor), refusal(/^descriptor\.urls must be http.{1,200}$/))
    })
  }

  test('a refusal names the place that was given', () => {
    assert.throws(() => parseDescriptor(7, 'layers[3]'), refusal(/^layers\[3\] must be an object$/))
  })
})

function refusal(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ManifestError)
    assert.match(error.message, message)
    return true
  }
}
