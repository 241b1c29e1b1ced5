import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf } from './digest.ts'
import { digestOfManifest, manifestLimitBytes, parseManifest, referrerArtifactType } from './manifest.ts'
import { ManifestError } from './manifest-error.ts'
import { mediaTypes } from './media-type.ts'

type Fields = Record<string, unknown>

const foreignLayer = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'

function aDescriptor(fields: Fields = {}): Fields {
  return { mediaType: 'application/x', digest: digestOf('sha256', Buffer.from('x')), size: 1, ...fields }
}

/** A field given as undefined is left out. */
function anImage(fields: Fields = {}): Fields {
  return { schemaVersion: 2, config: aDescriptor(), layers: [aDescriptor({ size: 7 })], ...fields }
}

function anIndex(fields: Fields = {}): Fields {
  return { schemaVersion: 2, manifests: [aDescriptor({ mediaType: mediaTypes.ociManifest })], ...fields }
}

function parse(body: unknown, contentType: string) {
  return parseManifest(Buffer.from(JSON.stringify(body)), contentType)
}

function refuses(bytes: Uint8Array | string, contentType: string, message: RegExp): void {
  assert.throws(
    () => parseManifest(Buffer.from(bytes), contentType),
    (error) => {
      assert.ok(error instanceof ManifestError, String(error))
      assert.match(error.message, message)
      assert.ok(error.message.length < 400)
      return true
    },
  )
}

describe('image manifest', () => {
  for (const [mediaType, stated] of [
    [mediaTypes.ociManifest, undefined],
    [mediaTypes.ociManifest, mediaTypes.ociManifest],
    [mediaTypes.dockerManifest, mediaTypes.dockerManifest],
  ] as const) {
    test(`${mediaType} ${stated ? 'with' : 'without'} mediaType has a config and layers`, () => {
      const body = anImage({ mediaType: stated })
      assert.deepEqual(parse(body, mediaType), {
        mediaType,
        kind: 'image',
        config: aDescriptor(),
        layers: [aDescriptor({ size: 7 })],
        children: [],
      })
    })
  }

  test('the content type may have parameters and upper-case letters', () => {
    const contentType = `${mediaTypes.ociManifest.toUpperCase()}; charset=utf-8`
    assert.equal(parse(anImage({ mediaType: mediaTypes.ociManifest }), contentType).mediaType, mediaTypes.ociManifest)
  })

  test('layers may be empty, and unknown fields are ignored', () => {
    const doc = parse(anImage({ layers: [], blobs: 1, LAYER: [], constructor: {} }), mediaTypes.ociManifest)
    assert.deepEqual(doc.layers, [])
  })

  test('an OCI manifest may have subject, artifactType and annotations', () => {
    const more = { subject: aDescriptor(), artifactType: 'application/sbom', annotations: { a: 'b' } }
    const doc = parse(anImage(more), mediaTypes.ociManifest)
    assert.deepEqual([doc.subject, doc.artifactType, doc.annotations], [aDescriptor(), 'application/sbom', { a: 'b' }])
  })

  test('a subject of null is no subject', () => {
    assert.equal(parse(anImage({ subject: null }), mediaTypes.ociManifest).subject, undefined)
  })

  test('in a Docker manifest subject is an unknown field', () => {
    const body = anImage({ mediaType: mediaTypes.dockerManifest, subject: 1 })
    assert.equal(parse(body, mediaTypes.dockerManifest).subject, undefined)
  })

  test('an annotation named __proto__ is an annotation', () => {
    const text = JSON.stringify(anImage()).replace(/}$/, ',"annotations":{"__proto__":"x"}}')
    const doc = parseManifest(Buffer.from(text), mediaTypes.ociManifest)
    assert.deepEqual(Object.entries(doc.annotations ?? {}), [['__proto__', 'x']])
  })

  for (const [what, fields, message] of [
    ['no schemaVersion', { schemaVersion: undefined }, /schemaVersion must be 2/],
    ['schemaVersion 1', { schemaVersion: 1 }, /schemaVersion must be 2/],
    ['schemaVersion as text', { schemaVersion: '2' }, /schemaVersion must be 2/],
    ['another mediaType', { mediaType: mediaTypes.ociIndex }, /mediaType is ".*index.*", but the content type is/],
    ['an empty mediaType', { mediaType: '' }, /mediaType must be a non-empty string/],
    ['null as mediaType', { mediaType: null }, /mediaType must be a non-empty string/],
    ['a list as mediaType', { mediaType: [mediaTypes.ociManifest] }, /mediaType must be/],
    ['no config', { config: undefined }, /config must be an object/],
    ['null as config', { config: null }, /config must be an object/],
    ['an invalid config', { config: aDescriptor({ size: -1 }) }, /config\.size/],
    ['no layers', { layers: undefined }, /layers must be an array/],
    ['null as layers', { layers: null }, /layers must be an array/],
    ['an object as layers', { layers: { length: 0 } }, /layers must be an array/],
    ['an invalid layer', { layers: [aDescriptor(), {}] }, /layers\[1\]\.mediaType/],
    ['md5 for a layer', { layers: [aDescriptor({ digest: 'md5:00' })] }, /layers\[0\]\.digest .* algorithm md5;/],
    [
      'a foreign layer on a disk',
      { layers: [aDescriptor({ mediaType: foreignLayer, urls: ['file:///a'] })] },
      /layers\[0\]\.urls/,
    ],
    ['manifests', { manifests: [] }, /kind image must not have manifests/],
    ['null as manifests', { manifests: null }, /must not have manifests/],
    ['fsLayers', { fsLayers: [] }, /must not have fsLayers/],
    ['Manifests', { Manifests: [] }, /"Manifests" must be spelled manifests/],
    ['layers twice, for Go', { Layers: [] }, /"Layers" must be spelled layers/],
    ['a long s in manifests', { manifeſts: [] }, /must be spelled manifests/],
    ['text as subject', { subject: 'sha256:' }, /subject must be an object/],
    ['an invalid subject', { subject: {} }, /subject\.mediaType/],
    ['a number as artifactType', { artifactType: 1 }, /artifactType must be a string/],
    ['a number as annotation', { annotations: { a: 1 } }, /annotations/],
  ] as const) {
    test(`an OCI manifest is refused with ${what}`, () => {
      refuses(JSON.stringify(anImage(fields)), mediaTypes.ociManifest, message)
    })
  }

  for (const mediaType of [mediaTypes.dockerManifest, mediaTypes.dockerManifestList]) {
    test(`${mediaType} must state its mediaType`, () => {
      const body = mediaType === mediaTypes.dockerManifest ? anImage() : anIndex()
      refuses(JSON.stringify(body), mediaType, /mediaType must be a non-empty string/)
    })
  }
})

describe('index', () => {
  for (const mediaType of [mediaTypes.ociIndex, mediaTypes.dockerManifestList]) {
    test(`${mediaType} has children with platforms`, () => {
      const child = aDescriptor({ platform: { architecture: 'amd64', os: 'linux' } })
      const doc = parse(anIndex({ mediaType, manifests: [child] }), mediaType)
      assert.deepEqual(doc, { mediaType, kind: 'index', layers: [], children: [child] })
    })
  }

  test('manifests may be empty', () => {
    assert.deepEqual(parse(anIndex({ manifests: [] }), mediaTypes.ociIndex).children, [])
  })

  test('an OCI index may have a subject', () => {
    assert.deepEqual(parse(anIndex({ subject: aDescriptor() }), mediaTypes.ociIndex).subject, aDescriptor())
  })

  for (const [what, fields, message] of [
    ['no manifests', { manifests: undefined }, /manifests must be an array/],
    ['null as manifests', { manifests: null }, /manifests must be an array/],
    ['an invalid child', { manifests: [7] }, /manifests\[0\] must be an object/],
    ['layers', { layers: [] }, /kind index must not have layers/],
    ['config', { config: aDescriptor() }, /must not have config/],
    ['null as config', { config: null }, /must not have config/],
    ['CONFIG', { CONFIG: aDescriptor() }, /must be spelled config/],
    ['the mediaType of an image', { mediaType: mediaTypes.ociManifest }, /mediaType is/],
    ['no schemaVersion', { schemaVersion: undefined }, /schemaVersion must be 2/],
  ] as const) {
    test(`an OCI index is refused with ${what}`, () => {
      refuses(JSON.stringify(anIndex(fields)), mediaTypes.ociIndex, message)
    })
  }
})

describe('artifact manifest', () => {
  for (const mediaType of [mediaTypes.ociArtifactManifest, mediaTypes.orasArtifactManifest]) {
    test(`${mediaType} has blobs as layers, and a subject`, () => {
      const blobs = [aDescriptor()]
      const doc = parse({ mediaType, artifactType: 'a/b', blobs, subject: aDescriptor() }, mediaType)
      assert.deepEqual(doc, {
        mediaType,
        kind: 'artifact',
        artifactType: 'a/b',
        layers: blobs,
        children: [],
        subject: aDescriptor(),
      })
    })

    test(`${mediaType} may be without blobs`, () => {
      assert.deepEqual(parse({ mediaType }, mediaType).layers, [])
      assert.deepEqual(parse({ mediaType, blobs: null }, mediaType).layers, [])
    })

    for (const [what, fields, message] of [
      ['an object as blobs', { blobs: {} }, /blobs must be an array/],
      ['zero as blobs', { blobs: 0 }, /blobs must be an array/],
      ['layers', { layers: [] }, /kind artifact must not have layers/],
      ['manifests', { manifests: [] }, /must not have manifests/],
      ['schemaVersion 1', { schemaVersion: 1 }, /schemaVersion must be 2/],
    ] as const) {
      test(`${mediaType} is refused with ${what}`, () => {
        refuses(JSON.stringify({ mediaType, ...fields }), mediaType, message)
      })
    }
  }
})

describe('manifest body', () => {
  const image = JSON.stringify(anImage())

  for (const [what, bytes] of [
    ['nothing', ''],
    ['white space', ' \n'],
    ['a number', '1'],
    ['null', 'null'],
    ['text', '"{}"'],
    ['an array', '[]'],
    ['a byte order mark', `\u{feff}${image}`],
    ['UTF-16', Buffer.from(image, 'utf16le')],
    ['a byte that UTF-8 never has', Buffer.concat([Buffer.from('{"a":"'), Buffer.of(0xff), Buffer.from('"}')])],
    ['half a character', Buffer.concat([Buffer.from('{"a":"'), Buffer.of(0xc3), Buffer.from('"}')])],
    ['an overlong slash', Buffer.concat([Buffer.from('{"a":"'), Buffer.of(0xc0, 0xaf), Buffer.from('"}')])],
    ['an encoded surrogate', Buffer.concat([Buffer.from('{"a":"'), Buffer.of(0xed, 0xa0, 0x80), Buffer.from('"}')])],
    ['NaN', '{"schemaVersion":NaN}'],
    ['a comment', `${image}//`],
    ['a second document', `${image}${image}`],
    ['a trailing NUL', `${image}\0`],
    ['a trailing comma', '{"schemaVersion":2,}'],
    ['single quotes', "{'schemaVersion':2}"],
    ['two million open brackets', '['.repeat(2_000_000)],
    ['half a million open objects', '{"a":'.repeat(500_000)],
  ] as const) {
    test(`${what} is not a JSON object in UTF-8`, () => {
      refuses(bytes, mediaTypes.ociManifest, /^the manifest is not a JSON object in UTF-8/)
    })
  }

  for (const [field, fields] of [
    ['artifactType', { artifactType: 'a\0b' }],
    ['config.mediaType', { config: aDescriptor({ mediaType: 'application/\0' }) }],
    ['layers[0].artifactType', { layers: [aDescriptor({ artifactType: '\0' })] }],
    ['layers[0].platform.os', { layers: [aDescriptor({ platform: { os: 'linux\0' } })] }],
  ] as const) {
    test(`a NUL character in ${field} is refused: not every database can keep it`, () => {
      const message = `${field} must not hold a NUL character`
      refuses(JSON.stringify(anImage(fields)), mediaTypes.ociManifest, new RegExp(`^${RegExp.escape(message)}$`))
    })
  }

  const nested = (levels: number) =>
    JSON.stringify(anImage({ other: 'deep' })).replace('"deep"', `${'['.repeat(levels)}${']'.repeat(levels)}`)

  test('a body of two million brackets is refused before it is parsed', () => {
    refuses(nested(2_000_000), mediaTypes.ociManifest, /nested at most 256 levels deep/)
  })

  test('256 levels are well, one more is too deep', () => {
    assert.equal(parseManifest(Buffer.from(nested(255)), mediaTypes.ociManifest).kind, 'image')
    refuses(nested(256), mediaTypes.ociManifest, /nested at most 256 levels deep/)
  })

  test('brackets inside strings are no levels, also after an escaped quote', () => {
    const text = JSON.stringify(anImage({ other: `\\"${'['.repeat(1_000)}` }))
    assert.equal(parseManifest(Buffer.from(text), mediaTypes.ociManifest).kind, 'image')
  })

  for (const second of ['"layers":[]', '"\\u006cayers":[]', ' "layers" : []']) {
    test(`a field that is there twice is refused: ${second}`, () => {
      refuses(`{${image.slice(1, -1)},${second}}`, mediaTypes.ociManifest, /is there twice/)
    })
  }

  test('a field may come again further down, and as a value', () => {
    const text = JSON.stringify(anImage({ other: { layers: [], other: 'layers' }, more: ['layers', '"layers":'] }))
    assert.equal(parseManifest(Buffer.from(text), mediaTypes.ociManifest).kind, 'image')
  })

  test('both kinds of list are refused under either content type', () => {
    const text = JSON.stringify({ ...anImage(), ...anIndex() })
    refuses(text, mediaTypes.ociManifest, /must not have manifests/)
    refuses(text, mediaTypes.ociIndex, /must not have layers/)
  })

  for (const contentType of ['', 'application/json', 'constructor', `${mediaTypes.ociManifest}, text/html`]) {
    test(`the content type ${JSON.stringify(contentType)} is unknown`, () => {
      refuses(image, contentType, /unknown manifest media type/)
    })
  }

  test('one byte beyond the limit is refused, the limit itself is not', () => {
    const largest = image.padEnd(manifestLimitBytes)
    assert.equal(parseManifest(Buffer.from(largest), mediaTypes.ociManifest).kind, 'image')
    refuses(`${largest} `, mediaTypes.ociManifest, /exceeds 4194304 bytes/)
  })

  test('as many layers as fit the limit are parsed within seconds', () => {
    const size = JSON.stringify(aDescriptor()).length + 1
    const count = Math.floor((manifestLimitBytes - 400) / size)
    const before = performance.now()
    const doc = parse(anImage({ layers: Array(count).fill(aDescriptor()) }), mediaTypes.ociManifest)
    assert.equal(doc.layers.length, count)
    assert.ok(performance.now() - before < 5000)
  })

  test('as many unknown fields as fit the limit cost about what JSON costs, not its square', () => {
    const body = anImage(Object.fromEntries(Array.from({ length: 300_000 }, (_, index) => [`f${index}`, 0])))
    const text = JSON.stringify(body)
    const took = (work: () => unknown) => {
      const before = performance.now()
      work()
      return performance.now() - before
    }
    const plain = took(() => JSON.parse(text))
    const ours = took(() => assert.equal(parse(body, mediaTypes.ociManifest).kind, 'image'))
    assert.ok(ours < 50 * plain, `${ours} ms, and JSON alone ${plain} ms`)
  })

  test('the digest of a manifest is the digest of its bytes', () => {
    const bytes = Buffer.from(`${image} \n`)
    const doc = parseManifest(bytes, mediaTypes.ociManifest)
    assert.equal(digestOfManifest(doc, bytes, 'sha512'), digestOf('sha512', bytes))
  })
})

describe('artifact type of a referrer', () => {
  const config = aDescriptor({ mediaType: 'application/config' })
  for (const [what, body, mediaType, expected] of [
    ['its artifactType', anImage({ config, artifactType: 'a/b' }), mediaTypes.ociManifest, 'a/b'],
    ["the config's media type when it has none", anImage({ config }), mediaTypes.ociManifest, 'application/config'],
    [
      "the config's media type when it is empty",
      anImage({ config, artifactType: '' }),
      mediaTypes.ociManifest,
      'application/config',
    ],
    ["an index's artifactType", anIndex({ artifactType: 'a/b' }), mediaTypes.ociIndex, 'a/b'],
    ['nothing for an index without', anIndex(), mediaTypes.ociIndex, undefined],
    ['nothing for an index with an empty one', anIndex({ artifactType: '' }), mediaTypes.ociIndex, undefined],
    ["an artifact manifest's own", { artifactType: 'a/b' }, mediaTypes.ociArtifactManifest, 'a/b'],
  ] as const) {
    test(`is ${what}`, () => assert.equal(referrerArtifactType(parse(body, mediaType)), expected))
  }
})
