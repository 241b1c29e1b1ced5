/**
 * Clients that push, mount and delete a handful of blobs while collections without any grace run beside them, in several
 * processes at once. Whoever races knows what must be there: what a manifest names, from the answer to its push until its
 * deletion begins.
 */
import assert from 'node:assert/strict'
import { isFault } from '../src/base/fault.ts'
import { at, dayMs, once, recount, type TestProcess } from './core.ts'
import { aBlob, anImage, type Content } from './images.ts'

export interface RaceOptions {
  /** Images that are pushed, in all, at least. */
  readonly rounds: number
  /** It goes on until so many blobs have been collected, ten times as long at most. */
  readonly collected: number
  /** Clients for each process. */
  readonly clients: number
  /** Different blobs that they push: the fewer, the more often two meet. */
  readonly blobs: number
}

export interface RaceReport {
  pushed: number
  mounted: number
  /** Manifests that were refused because a blob had been collected in between, and were pushed again. */
  repeated: number
  blobsCollected: number
}

const repositories = ['a', 'b', 'c']
/** Manifests that a client keeps at a time. */
const kept = 1

/** Throws an AssertionError for whatever is missing, then or at the end. processes: on one database and store. */
export async function race(
  processes: readonly TestProcess[],
  { rounds, collected, clients, blobs }: RaceOptions,
): Promise<RaceReport> {
  const contents = Array.from({ length: blobs }, (_, index) => aBlob(`raced for ${'!'.repeat(index)}`))
  const report = { pushed: 0, mounted: 0, repeated: 0, blobsCollected: 0 }
  const ending = new AbortController()
  const collecting = processes.map((process) => collectAllTheTime(process, report, ending.signal))
  let begun = 0
  let failed = false
  const goesOn = () => begun < rounds || (report.blobsCollected < collected && begun < 10 * rounds)
  const client = async (process: TestProcess, name: string) => {
    const alive: Pushed[] = []
    try {
      while (goesOn() && !failed) {
        begun++
        alive.push(await pushOne(process, name, contents, report))
        for (const pushed of alive) await assertThere(pick(processes), pushed)
        if (alive.length > kept) await deleteOne(process, alive.shift())
        await deleteSomeBlob(process, pick(contents))
      }
      for (const pushed of alive) await assertThere(process, pushed)
    } catch (error) {
      failed = true // the others need not go on
      throw error
    }
  }
  try {
    await Promise.all(
      processes.flatMap((process, index) =>
        Array.from({ length: clients }, (_, number) => client(process, `${index}-${number}`)),
      ),
    )
  } finally {
    ending.abort()
    await Promise.all(collecting)
  }
  for (const process of processes) await assertWhole(process)
  return report
}

interface Pushed {
  readonly repository: string
  readonly blobs: readonly Content[]
  readonly manifest: Content
}

async function pushOne(
  { registry }: TestProcess,
  client: string,
  contents: readonly Content[],
  report: RaceReport,
): Promise<Pushed> {
  const repository = pick(repositories)
  const config = pick(contents)
  const layer = pick(contents.filter((content) => content !== config))
  const id = `${client} ${report.pushed} ${Math.random()}`
  const { manifest } = anImage({
    config,
    fields: {
      layers: [{ mediaType: layer.mediaType, digest: layer.digest, size: layer.bytes.length }],
      annotations: { id },
    },
  })
  for (;;) {
    for (const { digest, bytes } of [config, layer]) {
      if (await registry.mountBlob(at(repository), digest, undefined, () => Math.random() < 0.7)) report.mounted += 1
      else await registry.pushBlob(at(repository), digest, once(bytes))
    }
    try {
      await registry.putManifest(at(repository), { tag: client }, manifest.mediaType, manifest.bytes)
      report.pushed += 1
      return { repository, blobs: [config, layer], manifest }
    } catch (error) {
      if (!isFault(error, 'manifestBlobsUnknown')) throw error
      report.repeated += 1
    }
  }
}

async function assertThere({ registry, store }: TestProcess, { repository, blobs, manifest }: Pushed): Promise<void> {
  const found = await registry.getManifest(at(repository), { digest: manifest.digest })
  assert.deepEqual(Buffer.from(found.bytes), manifest.bytes)
  for (const { digest, bytes } of blobs) {
    assert.equal((await registry.getBlob(at(repository), digest)).size, bytes.length)
    const stored: Buffer[] = []
    for await (const chunk of await store.read(digest)) stored.push(Buffer.from(chunk))
    assert.deepEqual(Buffer.concat(stored), bytes)
  }
}

async function deleteOne({ registry }: TestProcess, pushed: Pushed | undefined): Promise<void> {
  if (pushed !== undefined) {
    await registry.deleteManifest(at(pushed.repository), { digest: pushed.manifest.digest })
  }
}

async function deleteSomeBlob({ registry }: TestProcess, { digest }: Content): Promise<void> {
  try {
    await registry.deleteBlob(at(pick(repositories)), digest)
  } catch (error) {
    if (!isFault(error, 'blobInUse') && !isFault(error, 'blobUnknown')) throw error
  }
}

async function collectAllTheTime({ collector }: TestProcess, report: RaceReport, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for await (const gone of collector.collect({ graceMs: 0, uploadExpiryMs: dayMs, signal })) {
      report.blobsCollected += gone.filter(({ reason }) => reason === 'unlinked blob').length
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** Names, links, rows, bytes and counts fit each other, and a last collection leaves nothing that nobody needs. */
async function assertWhole({ db, store, registry, collector }: TestProcess): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 5)) // what was unlinked just now must be older than now
  for await (const _ of collector.collect({ graceMs: 0, uploadExpiryMs: dayMs })) {
    // Until there is nothing more.
  }
  const { links, rows, sessions, names } = await db.read(async (tables) => ({
    links: await tables.selectFrom('repository_blobs').select('digest').distinct().orderBy('digest').execute(),
    rows: await tables.selectFrom('blobs').select('digest').orderBy('digest').execute(),
    sessions: await tables.selectFrom('upload_sessions').select('id').execute(),
    names: await tables.selectFrom('manifest_references').select('digest').distinct().orderBy('digest').execute(),
  }))
  const digests = rows.map(({ digest }) => digest)
  assert.deepEqual(await Array.fromAsync(store.list()), digests, 'the store holds what has a row')
  assert.deepEqual(
    links.map(({ digest }) => digest),
    digests,
    'what has a row is linked',
  )
  assert.deepEqual(
    names.map(({ digest }) => digest),
    digests,
    'what is linked is named',
  )
  assert.deepEqual(sessions, [])
  assert.deepEqual(await Array.fromAsync(store.listSessions()), [])
  for (const [name, usage] of Object.entries(await recount(db))) {
    const [place = '', repository] = name.split('/')
    assert.deepEqual(
      await registry.usageOf(repository === undefined ? { registry: place } : { registry: place, repository }),
      usage,
      name,
    )
  }
}

const pick = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)] as T
