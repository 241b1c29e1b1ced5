import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Digest } from '@berth/oci'
import { at, dayMs, once, openTestCore, recount, type TestCore } from '../../../test/core.ts'
import { onPostgreSql } from '../../../test/database.ts'
import { aBlob, anImage, anIndex, type Content } from '../../../test/images.ts'
import { RegistryModel } from '../../../test/registry-model.ts'
import { isFault } from '../../base/fault.ts'

const none = { blobBytes: 0, manifestBytes: 0 }

suite('usage', () => {
  test('a repository counts its blobs and manifests once, the registry those that repositories share once', async () => {
    await using core = await openTestCore()
    const { registry } = core
    const image = anImage({ layers: 2 })
    const blobBytes = [image.config, ...image.layers].reduce((sum, { bytes }) => sum + bytes.length, 0)
    const manifestBytes = image.manifest.bytes.length
    await core.pushImage('a', image, 'v1')
    await core.pushImage('a', image, 'v2')
    for (const { digest } of [image.config, ...image.layers]) await registry.mountBlob(at('b'), digest, 'a', () => true)
    await core.putManifest('b', image.manifest, 'v1')
    const [layer] = image.layers
    if (layer) await registry.pushBlob(at('a', 'other'), layer.digest, once(layer.bytes))
    for (const repository of ['a', 'b']) {
      assert.deepEqual(await registry.usageOf(at(repository)), { blobBytes, manifestBytes })
    }
    assert.deepEqual(await registry.usageOf({ registry: 'berth' }), { blobBytes, manifestBytes: 2 * manifestBytes })
    assert.deepEqual(await registry.usageOf({ registry: 'other' }), { ...none, blobBytes: layer?.bytes.length })
  })

  test('repositories of one registry by name, with manifests and tags; those that hold nothing are left out', async () => {
    await using core = await openTestCore()
    const list = (registry: string) => Array.fromAsync(core.registry.usageByRepository(registry))
    const [image, other] = [anImage(), anImage()]
    const index = anIndex([image.manifest])
    await core.pushImage('b', image, 'v1')
    await core.pushImage('b', image, 'v2')
    await core.putManifest('b', index, 'latest')
    await core.pushImage('gone', other, 'v1')
    await core.deleteManifest('gone', other.manifest.digest)
    const blob = aBlob('a layer')
    await core.registry.pushBlob(at('a'), blob.digest, once(blob.bytes))
    await core.registry.pushBlob(at('z', 'other'), blob.digest, once(blob.bytes))
    core.clock.advance(dayMs)
    await core.collect()
    await core.registry.pushBlob(at('a'), blob.digest, once(blob.bytes))
    const b = await core.registry.usageOf(at('b'))
    assert.deepEqual(await list('berth'), [
      { repository: 'a', manifests: 0, tags: 0, blobBytes: blob.bytes.length, manifestBytes: 0 },
      { repository: 'b', manifests: 2, tags: 3, ...b },
    ])
    assert.deepEqual(await list('nobody'), [])
  })

  test('more repositories than a page has › all of them, once', async () => {
    await using core = await openTestCore()
    const blob = aBlob('a layer')
    const names = Array.from({ length: 1_001 }, (_, number) => `r${String(number).padStart(4, '0')}`)
    await core.registry.pushBlob(at('r0000'), blob.digest, once(blob.bytes))
    for (const name of names.slice(1)) await core.registry.mountBlob(at(name), blob.digest, 'r0000', () => true)
    const listed = await Array.fromAsync(core.registry.usageByRepository('berth'))
    assert.deepEqual(
      listed.map(({ repository }) => repository),
      names,
    )
  })

  test('is nothing again when everything has gone', async () => {
    await using core = await openTestCore()
    const image = anImage()
    await core.pushImage('a', image, 'v1')
    await core.deleteManifest('a', image.manifest.digest)
    assert.equal((await core.registry.usageOf(at('a'))).manifestBytes, 0)
    assert.notEqual((await core.registry.usageOf(at('a'))).blobBytes, 0)
    core.clock.advance(dayMs)
    await core.collect()
    assert.deepEqual(await core.registry.usageOf(at('a')), none)
    assert.deepEqual(await core.registry.usageOf({ registry: 'berth' }), none)
  })

  test('is nothing before the first push, and unknown for what is not there', async () => {
    await using core = await openTestCore()
    assert.deepEqual(await core.registry.usageOf({ registry: 'other' }), none)
    const isUnknown = (error: unknown) => isFault(error, 'repositoryUnknown')
    await assert.rejects(core.registry.usageOf(at('none')), isUnknown)
    await assert.rejects(core.registry.usageOf({ registry: 'none' }), isUnknown)
  })

  for (const seed of [1, 2, 3]) {
    test(`and everything else is what a plain model says, through many operations (${seed})`, async () => {
      await using core = await openTestCore()
      await new Comparison(core, seed).run(onPostgreSql ? 200 : 1_000)
    })
  }
})

const repositories = ['berth/a', 'berth/b', 'other/a'] as const
const graces = [0, 60_000, 600_000]

/** Does the same to a registry and to a model of it, and compares. */
class Comparison {
  readonly #core: TestCore
  readonly #model = new RegistryModel()
  readonly #random: () => number
  readonly #blobs: readonly Content[]
  readonly #known = new Map<string, Content>()

  constructor(core: TestCore, seed: number) {
    this.#core = core
    this.#random = randomFrom(seed)
    this.#blobs = Array.from({ length: 12 }, (_, index) => aBlob('x'.repeat(index) + seed))
  }

  async run(operations: number): Promise<void> {
    for (let i = 0; i < operations; i++) {
      const name = this.#pick(operationNames)
      await this.#operations[name](this.#pick(repositories))
      await this.#compareUsage(`${name}, operation ${i}`)
      if (i % 50 === 0) await this.#compareAll(`operation ${i}`)
      if (this.#random() < 0.7) this.#core.clock.advance(Math.floor(this.#random() * 60_000))
    }
    await this.#compareAll('the end')
  }

  readonly #operations = {
    push: async (name: string) => {
      const blob = this.#pick(this.#blobs)
      await this.#core.registry.pushBlob(placeOf(name), blob.digest, once(blob.bytes))
      this.#model.link(name, blob.digest, blob.bytes.length, this.#now)
    },
    mount: async (name: string) => {
      const blob = this.#pick(this.#blobs)
      const { registry } = placeOf(name)
      const mounted = await this.#core.registry.mountBlob(placeOf(name), blob.digest, undefined, () => true)
      const inRegistry = repositories.filter((other) => placeOf(other).registry === registry)
      assert.equal(
        mounted,
        inRegistry.some((other) => this.#model.at(other).links.has(blob.digest)),
      )
      if (mounted) this.#model.link(name, blob.digest, blob.bytes.length, this.#now)
    },
    putImage: async (name: string) => {
      const [config, ...layers] = this.#pickSome([...this.#model.at(name).links.keys()])
      if (config === undefined || layers.length === 0) return
      const contents = this.#contents([config, ...layers])
      const subject = this.#random() < 0.3 ? this.#pickSome([...this.#model.at(name).manifests.keys()])[0] : undefined
      const fields = {
        config: { mediaType: 'text/plain', digest: config, size: contents[0]?.bytes.length ?? 0 },
        layers: contents.slice(1).map(({ digest, bytes, mediaType }) => ({ mediaType, digest, size: bytes.length })),
        ...(subject === undefined ? {} : { subject: { mediaType: 'text/plain', digest: subject, size: 1 } }),
        annotations: { some: String(Math.floor(this.#random() * 4)) },
      }
      await this.#put(name, anImage({ fields }).manifest, { blobs: [config, ...layers], children: [], subject })
    },
    putIndex: async (name: string) => {
      const children = this.#pickSome([...this.#model.at(name).manifests.keys()])
      if (children.length === 0) return
      const index = anIndex(this.#contents(children))
      await this.#put(name, index, { blobs: [], children, subject: undefined })
    },
    deleteManifest: async (name: string) => {
      const [digest] = this.#pickSome([...this.#model.at(name).manifests.keys()])
      if (digest === undefined) return
      await this.#core.registry.deleteManifest(placeOf(name), { digest: digest as Digest })
      this.#model.at(name).remove(digest)
      this.#model.settle(this.#now)
    },
    deleteTag: async (name: string) => {
      const [tag] = this.#pickSome([...this.#model.at(name).tags.keys()])
      if (tag === undefined) return
      await this.#core.registry.deleteManifest(placeOf(name), { tag })
      this.#model.at(name).tags.delete(tag)
      this.#model.settle(this.#now)
    },
    deleteBlob: async (name: string) => {
      const { digest } = this.#pick(this.#blobs)
      const { links } = this.#model.at(name)
      const expected = !links.has(digest) ? 'blobUnknown' : this.#model.at(name).names(digest) ? 'blobInUse' : undefined
      const deleting = this.#core.registry.deleteBlob(placeOf(name), digest)
      if (expected !== undefined) return assert.rejects(deleting, (error) => isFault(error, expected))
      await deleting
      links.delete(digest)
      this.#model.settle(this.#now)
    },
    collect: async () => {
      const graceMs = this.#pick(graces)
      const untaggedMs = this.#random() < 0.3 ? this.#pick(graces) : undefined
      const told = await this.#core.collect({ graceMs, untaggedMs, dryRun: true })
      const gone = await this.#core.collect({ graceMs, untaggedMs })
      const brief = (garbage: typeof gone) =>
        garbage.map(({ reason, name, repository, bytes }) => [reason, name, repository, bytes].join(' ')).sort()
      assert.deepEqual(brief(told), brief(gone), 'a dry run tells what the collection right after it removes')
      this.#model.collect(this.#now, graceMs, untaggedMs)
    },
  } satisfies Record<string, (repository: string) => Promise<unknown>>

  async #put(
    name: string,
    manifest: Content,
    named: { blobs: readonly string[]; children: readonly string[]; subject: string | undefined },
  ): Promise<void> {
    const tag = this.#random() < 0.5 ? `v${Math.floor(this.#random() * 5)}` : undefined
    const reference = tag === undefined ? { digest: manifest.digest } : { tag }
    this.#known.set(manifest.digest, manifest)
    await this.#core.registry.putManifest(placeOf(name), reference, manifest.mediaType, manifest.bytes)
    this.#model.put(name, manifest.digest, { size: manifest.bytes.length, ...named }, tag, this.#now)
  }

  async #compareUsage(where: string): Promise<void> {
    for (const [name, expected] of Object.entries(this.#model.usage())) {
      const [registry = '', repository] = name.split('/')
      const exists = repository === undefined || (await this.#exists(registry, repository))
      const usage = exists
        ? await this.#core.registry.usageOf(repository === undefined ? { registry } : { registry, repository })
        : none
      assert.deepEqual(usage, expected, `${name} after ${where}`)
    }
  }

  async #compareAll(where: string): Promise<void> {
    const counted = await recount(this.#core.db)
    for (const [name, usage] of Object.entries(this.#model.usage())) {
      assert.deepEqual(counted[name] ?? none, usage, `${name} recounted after ${where}`)
    }
    for (const { digest } of this.#blobs) {
      const stored = (await this.#core.store.stat(digest)) !== undefined
      assert.equal(stored, this.#model.stored.has(digest), `${digest} in the store after ${where}`)
      for (const name of repositories) {
        const linked = await this.#core.registry.getBlob(placeOf(name), digest).then(
          () => true,
          () => false,
        )
        assert.equal(linked, this.#model.at(name).links.has(digest), `${digest} in ${name} after ${where}`)
      }
    }
  }

  async #exists(registry: string, repository: string): Promise<boolean> {
    const rows = await this.#core.db.read((tables) =>
      tables
        .selectFrom('repositories')
        .innerJoin('registries', 'registries.id', 'repositories.registry_id')
        .where('registries.name', '=', registry)
        .where('repositories.name', '=', repository)
        .select('repositories.id')
        .execute(),
    )
    return rows.length > 0
  }

  get #now(): number {
    return this.#core.clock.now()
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] as T
  }

  /** A few of them, each at most once. */
  #pickSome<T>(items: readonly T[]): T[] {
    const shuffled = items
      .map((item) => ({ item, order: this.#random() }))
      .sort((one, other) => one.order - other.order)
      .map(({ item }) => item)
    return shuffled.slice(0, 1 + Math.floor(this.#random() * 3))
  }

  #contents(digests: readonly string[]): Content[] {
    return digests.map((digest) => {
      const content = this.#known.get(digest) ?? this.#blobs.find((blob) => blob.digest === digest)
      assert.ok(content)
      return content
    })
  }
}

const operationNames = [
  'push',
  'push',
  'mount',
  'putImage',
  'putImage',
  'putIndex',
  'deleteManifest',
  'deleteTag',
  'deleteBlob',
  'collect',
] as const

const placeOf = (name: string) => ({ registry: name.split('/')[0] ?? '', repository: name.split('/')[1] ?? '' })

/** The same numbers from 0 to 1 for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d)
    mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
  }
}
