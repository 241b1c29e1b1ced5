/** Manifest bodies: depth, width, types, encodings, doubled and foreign fields. */
import { sha256 } from '../../client.ts'
import { type Allowed, type Case, type Category, caseOf } from '../case.ts'
import type { Random } from '../random.ts'
import { type Answer, headerOf } from '../wire.ts'
import { ociIndex, ociManifest, type World } from '../world.ts'

const invalid: readonly Allowed[] = ['400 MANIFEST_INVALID']

export const manifests: Category = {
  name: 'manifests',
  weight: 14,
  make(random, world) {
    const kind = random.integer(10)
    if (kind < 4) return exact(random, world)
    if (kind < 6) return bytes(random, world)
    return mutated(random, world)
  },
}

type Json = Record<string, unknown>

const validManifest = ({ a }: World): Json => JSON.parse(a.manifestBytes.toString('utf8')) as Json

function push(
  world: World,
  title: string,
  body: Buffer | string,
  allowed: readonly Allowed[],
  type = ociManifest,
): Case {
  const content = Buffer.from(body)
  const check = (answer: Answer) =>
    answer.status !== 201 || headerOf(answer, 'docker-content-digest') === sha256(content)
      ? undefined
      : 'another digest'
  const target = `/v2/${world.a.repository}/manifests/fuzzed`
  return caseOf(world, title, { method: 'PUT', target, headers: [['Content-Type', type]], body: content }, allowed, {
    check,
  })
}

/** Changes of a good manifest whose outcome is known. */
function exact(random: Random, world: World): Case {
  const manifest = validManifest(world)
  const change = (changes: Json) => JSON.stringify({ ...manifest, ...changes })
  const without = (field: string) => JSON.stringify({ ...manifest, [field]: undefined })
  const layer = (manifest.layers as Json[])[0]!
  const value = random.pick<unknown>([null, true, 0, -1, 1.5, 'x', '', [], {}, [[]], [null], 1e308, '2'])
  const field = random.pick(['schemaVersion', 'config', 'layers', 'mediaType'])
  const unknownDigest = `sha256:${random.text(64, '0123456789abcdef')}`
  return random.pick<() => Case>([
    () =>
      push(
        world,
        `${field} is ${JSON.stringify(value)}`,
        change({ [field]: value }),
        field === 'layers' && Array.isArray(value) && value.length === 0 ? ['201'] : invalid,
      ),
    () => push(world, `no ${field}`, without(field), field === 'mediaType' ? ['201'] : invalid),
    () => push(world, 'manifests beside layers', change({ manifests: [] }), invalid),
    () =>
      push(
        world,
        'an index with layers',
        JSON.stringify({ schemaVersion: 2, manifests: [], layers: [] }),
        invalid,
        ociIndex,
      ),
    () => push(world, 'fsLayers beside layers', change({ fsLayers: [] }), invalid),
    () => push(world, 'Layers beside layers', change({ Layers: [] }), invalid),
    () => push(world, 'a long s in layerſ', change({ layerſ: [] }), invalid),
    () =>
      push(world, 'a layer that is not there', change({ layers: [{ ...layer, digest: unknownDigest }] }), [
        '400 MANIFEST_BLOB_UNKNOWN',
      ]),
    () =>
      push(world, "another repository's layer", change({ layers: [{ ...layer, digest: world.b.blob }] }), [
        '400 MANIFEST_BLOB_UNKNOWN',
      ]),
    () =>
      push(
        world,
        'a layer by a bad digest',
        change({
          layers: [
            { ...layer, digest: random.pick(['sha256:x', '', 'md5:00', '../../x', `sha256:${'A'.repeat(64)}`]) },
          ],
        }),
        invalid,
      ),
    () =>
      push(
        world,
        'a layer of an odd size',
        change({ layers: [{ ...layer, size: random.pick<unknown>([-1, 1.5, '5', null, 2 ** 53, 1e300, [], true]) }] }),
        invalid,
      ),
    () =>
      push(
        world,
        'a huge foreign layer',
        change({
          layers: [
            layer,
            foreign(unknownDigest, Number.MAX_SAFE_INTEGER),
            foreign(world.a.blob, Number.MAX_SAFE_INTEGER),
          ],
        }),
        ['201'],
      ),
    () =>
      push(
        world,
        'a thousand huge foreign layers',
        change({ layers: Array.from({ length: 1100 }, () => foreign(unknownDigest, Number.MAX_SAFE_INTEGER)) }),
        ['201', ...invalid],
      ),
    () =>
      push(
        world,
        'a foreign layer with an odd url',
        change({
          layers: [
            {
              ...foreign(unknownDigest, 1),
              urls: [
                random.pick([
                  'file:///etc/passwd',
                  'http://',
                  'https:/x',
                  'javascript:1',
                  'http://x/#f',
                  '//x',
                  'http:\\\\x',
                  '',
                ]),
              ],
            },
          ],
        }),
        invalid,
      ),
    () => push(world, 'data that lies', change({ config: { ...(manifest.config as Json), data: 'AAAA' } }), invalid),
    () =>
      push(
        world,
        'annotations of other types',
        change({ annotations: random.pick<unknown>([[], 'x', 5, { a: 1 }, { a: null }, { a: {} }]) }),
        ['400 MANIFEST_INVALID', '201'],
      ),
    () =>
      push(
        world,
        'a subject that is none',
        change({
          subject: random.pick<unknown>([
            [],
            'x',
            5,
            {},
            { digest: 'sha256:x' },
            { mediaType: 'x', digest: world.a.manifest },
          ]),
        }),
        invalid,
      ),
    () =>
      push(
        world,
        'unknown fields',
        change({ [random.text(10)]: { deep: [1, 2, { x: null }] }, toString: 'x', constructor: { prototype: {} } }),
        ['201'],
      ),
    () => push(world, '__proto__', `{"__proto__":{"schemaVersion":2,"polluted":true},${a(manifest)}`, ['201']),
    () => push(world, 'only __proto__', `{"__proto__":${JSON.stringify(manifest)}}`, invalid),
    () =>
      push(
        world,
        'a platform that is none',
        JSON.stringify({
          schemaVersion: 2,
          mediaType: ociIndex,
          manifests: [
            {
              mediaType: ociManifest,
              digest: world.a.manifest,
              size: 1,
              platform: random.pick<unknown>(['x', [], 5, { os: 5 }]),
            },
          ],
        }),
        ['400 MANIFEST_INVALID', '201'],
        ociIndex,
      ),
  ])()
}

const a = (manifest: Json) => JSON.stringify(manifest).slice(1)

const foreign = (digest: string, size: number): Json => ({
  mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
  ...{ digest, size, urls: ['https://example.com/layer'] },
})

/** Bodies that are no JSON object in UTF-8, or hardly. */
function bytes(random: Random, world: World): Case {
  const good = world.a.manifestBytes
  const depth = random.pick([100, 5_000, 100_000, 500_000])
  const types = [
    ociManifest,
    ociIndex,
    'application/vnd.docker.distribution.manifest.v2+json',
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
    'application/vnd.oci.artifact.manifest.v1+json',
  ]
  const type = random.pick(types)
  const bad = (title: string, body: Buffer | string) => push(world, title, body, invalid, type)
  const cut = random.between(1, good.length - 1)
  return random.pick<() => Case>([
    () => bad('[[[[', '['.repeat(depth)),
    () => bad('[[[[]]]]', '['.repeat(depth) + ']'.repeat(depth)),
    () => bad('{"a":{"a":', '{"a":'.repeat(depth)),
    () =>
      push(world, 'a deep field', `{"x":${'['.repeat(depth)}${']'.repeat(depth)},${good.toString('utf8').slice(1)}`, [
        '201',
        ...invalid,
      ]),
    () =>
      push(
        world,
        'deep layers',
        good.toString('utf8').replace(/"layers":\[/, `"layers":[${'['.repeat(depth)}${']'.repeat(depth)},`),
        invalid,
      ),
    () => bad('a byte order mark', Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), good])),
    () => bad('UTF-16', Buffer.from(good.toString('utf8'), 'utf16le')),
    () =>
      push(
        world,
        'invalid UTF-8',
        Buffer.concat([
          good.subarray(0, -1),
          Buffer.from(',"x":"'),
          Buffer.from([random.pick([0x80, 0xc0, 0xff, 0xed])]),
          Buffer.from('"}'),
        ]),
        invalid,
      ),
    () => bad('cut off', good.subarray(0, cut)),
    () => bad('two documents', Buffer.concat([good, good])),
    () => bad('garbage', random.bytes(random.between(1, 4000))),
    () =>
      bad(
        'no object',
        random.pick(['null', '5', '"x"', '[]', 'true', '{', '', ' ', '\0', 'NaN', '{"a":1,}', "{'a':1}", '//x']),
      ),
    () => bad('a long number', `{"schemaVersion":${'9'.repeat(random.pick([400, 100_000]))}}`),
    () =>
      push(
        world,
        'doubled layers',
        good.toString('utf8').replace(/}$/, ',"layers":[{"mediaType":"x","digest":"sha256:x","size":1}]}'),
        invalid,
      ),
    () =>
      push(
        world,
        'an unknown type',
        good,
        invalid,
        random.pick(['text/html', '', 'application/json', 'x', '*/*', 'application/octet-stream', 'a'.repeat(2000)]),
      ),
    () => push(world, 'another type than it says', good, invalid, random.pick(types.slice(1))),
    () => push(world, 'many layers', manyLayers(random, world), ['400 MANIFEST_BLOB_UNKNOWN']),
  ])()
}

function manyLayers(random: Random, world: World): string {
  const count = random.pick([10, 600, 3000])
  const layers = Array.from({ length: count }, () => ({
    mediaType: 'x',
    digest: `sha256:${random.text(64, '0123456789abcdef')}`,
    size: 1,
  }))
  return JSON.stringify({ ...validManifest(world), layers })
}

/** A good manifest with random damage: whatever comes of it, it is one of three answers. */
function mutated(random: Random, world: World): Case {
  const manifest = validManifest(world)
  const steps = random.between(1, 4)
  for (let step = 0; step < steps; step++) mutate(random, manifest, 0)
  return push(world, 'random damage', JSON.stringify(manifest), ['201', ...invalid, '400 MANIFEST_BLOB_UNKNOWN'])
}

function mutate(random: Random, node: Json | unknown[], depth: number): void {
  const keys = Object.keys(node)
  const key = keys.length === 0 ? 'x' : random.pick(keys)
  const target = node as Json
  const child = target[key]
  if (typeof child === 'object' && child !== null && depth < 5 && random.chance(0.7)) {
    mutate(random, child as Json, depth + 1)
    return
  }
  const value: unknown = random.pick<() => unknown>([
    () => null,
    () => random.integer(1000) - 500,
    () => random.text(random.between(0, 300), 'ab/:.+é\u0000"\\'),
    () => [],
    () => ({}),
    () => random.chance(0.5),
    () => 2 ** random.integer(70),
  ])()
  const change = random.integer(5)
  if (change === 0) delete target[key]
  else if (change === 1) target[random.text(random.between(1, 12), 'LAYERSlayersConfig_$')] = value
  else target[key] = value
}
