/** Everything moves to another database and blob store while clients push and delete. */
import assert from 'node:assert/strict'
import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { type BlobFlags, s3Flags } from '../server/test/blobs.ts'
import { createTestDatabase } from '../server/test/database.ts'
import { s3Skip } from '../server/test/object-stores.ts'
import { postgresSkip } from '../server/test/postgres.ts'
import { type Berth, startBerth } from './berth.ts'
import { repositoryFolder } from './clients/folders.ts'
import { anImage, contentsOf, type Image, randomBytesOf } from './images.ts'
import { startProcessGroup } from './process-group.ts'
import { runBerth, startProgram, until } from './program.ts'
import { ask, assertHolds, closing, getManifest, listTags, pushBlob, pushImage } from './registry.ts'
import { temporaryFolder } from './temporary-folder.ts'

const options = { timeout: 300_000 }

/** False when it was told to come again. */
async function isTaken(berth: Berth, method: string, path: string, body?: Buffer, type?: string): Promise<boolean> {
  const headers = { 'content-type': type ?? 'application/octet-stream' }
  const answer = await ask(berth, method, path, { headers, ...(body && { body }) })
  if (answer.status === 503) {
    assert.match(answer.headers['retry-after'] ?? '', /^\d+$/)
    return false
  }
  assert.ok([201, 202].includes(answer.status), `${method} ${path}: ${answer.status} ${answer.body}`)
  return true
}

async function push(berth: Berth, repository: string, tag: string, image: Image): Promise<boolean> {
  for (const { bytes, descriptor } of contentsOf(image)) {
    if (/manifest/.test(descriptor.mediaType)) {
      return isTaken(berth, 'PUT', `/v2/${repository}/manifests/${tag}`, bytes, descriptor.mediaType)
    }
    const begun = await ask(berth, 'POST', `/v2/${repository}/blobs/uploads/`)
    if (begun.status === 503) return false
    if (!(await isTaken(berth, 'PUT', closing(begun.headers.location ?? '', descriptor.digest), bytes))) return false
  }
  return assert.fail('an image without a manifest')
}

/** Pushes, and deletes every third of what it has pushed, until it is told to stop. */
function keepChanging(berth: Berth, repository: string) {
  const held = new Map<string, Image>()
  const deleted = new Set<string>()
  let over = false
  const done = (async () => {
    for (let i = 0; !over; i++) {
      const image = anImage(`${repository}-${i}`, { layers: 2, layerBytes: 20_000 })
      if (!(await push(berth, repository, `v${i}`, image))) continue
      held.set(`v${i}`, image)
      if (i % 3 !== 0 || i === 0) continue
      const gone = `v${i - 1}`
      if (!held.has(gone)) continue
      // Of one that is cut short nothing is known.
      held.delete(gone)
      if (await isTaken(berth, 'DELETE', `/v2/${repository}/manifests/${gone}`)) deleted.add(gone)
    }
  })()
  done.catch(() => undefined) // told by `stop`
  return {
    held,
    deleted,
    async stop() {
      over = true
      await done
    },
  }
}

async function assertKept(berth: Berth, repository: string, { held, deleted }: ReturnType<typeof keepChanging>) {
  const tags = new Set(await listTags(berth, repository))
  for (const tag of deleted) assert.ok(!tags.has(tag), `${tag} is back`)
  for (const [tag, image] of held) await assertHolds(berth, repository, tag, image)
}

/** The line that says what to type next, as a shell reads it, without `berth start` and the data folder. */
function printedFlags(stdout: string): string[] {
  const line = /^ {2}3\. berth start (.*?)(?: {3}\(.*)?$/m.exec(stdout)?.[1] ?? assert.fail(stdout)
  const words = (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", ''))
  assert.equal(words[0], '--data')
  return words.slice(2)
}

/** A server as the helpers for registries know one. */
async function startOn(dataFolder: string, flags: readonly string[], env: Readonly<Record<string, string>>) {
  const program = await startProgram({ dataFolder, flags: ['--workers', '2', ...flags], env })
  const { registry, caCertificate } = program.bootstrap
  const server = { ...registry, host: `localhost:${program.port}`, ca: caCertificate } as unknown as Berth
  return { server, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() }
}

suite('berth migrate', options, () => {
  test(
    'from a folder to another, cut short and killed in between › nothing that was acknowledged is lost',
    options,
    async () => {
      await using home = await temporaryFolder('migrate')
      await using old = await startBerth({ flags: ['--gc-interval', '1s', '--gc-grace', '10s'] })
      const image = anImage('before', { layers: 3, layerBytes: 1_000_000 })
      await pushBlob(old, 'before/app', randomBytesOf('takes a while', 150_000_000))
      await pushImage(old, 'before/app', 'v1', image)
      const changing = [keepChanging(old, 'live/one'), keepChanging(old, 'live/two')] as const
      await until('something is there', () => changing.every(({ held }) => held.size > 3), 60)
      const config = join(home.folder, 'new.yaml')
      await writeFile(config, 'data: new\n')
      const command = ['migrate', '--data', old.dataFolder, '--to', config]

      for (const signal of ['SIGINT', 'SIGKILL'] as const) {
        const { NODE_TEST_CONTEXT: _, ...env } = process.env
        const program = join(repositoryFolder, 'cli', 'src', 'main.ts')
        await using first = startProcessGroup(process.execPath, [program, ...command], env)
        await until('it has begun', () => /Copying blobs/.test(first.stderr), 60)
        first.signal(signal)
        assert.equal(await first.exited, signal === 'SIGINT' ? 130 : 'SIGKILL', first.log)
        const before = changing.map(({ held }) => held.size)
        await until('pushes go on', () => changing.every(({ held }, i) => held.size > before[i]!), 60)
      }

      const { code, stdout, stderr } = await runBerth(command)
      assert.equal(code, 0, stdout + stderr)
      assert.match(stderr, /^Another `berth migrate` was here a moment ago; waiting up to \d+ s\.$/m)
      await Promise.all(changing.map((one) => one.stop()))
      assert.equal(await push(old, 'late/app', 'v1', image), false)
      await getManifest(old, 'before/app', 'v1')
      await old.stop()

      const fresh = join(home.folder, 'new')
      const [, from, to] = /cp (\S+) (\S+)$/m.exec(stdout) ?? assert.fail(stdout)
      await copyFile(from!, to!)
      await copyFile(join(old.dataFolder, 'bootstrap.json'), join(fresh, 'bootstrap.json'))
      await using started = await startOn(fresh, [], {})
      await assertHolds(started.server, 'before/app', 'v1', image)
      await assertKept(started.server, 'live/one', changing[0])
      await assertKept(started.server, 'live/two', changing[1])
      assert.equal(await push(started.server, 'late/app', 'v1', image), true)
      const { code: clean, stdout: found } = await runBerth(['fsck', '--data', fresh])
      assert.equal(clean, 0, found)
    },
  )

  const skip = postgresSkip || s3Skip
  test('to PostgreSQL and S3 › a server started as it says serves what was acknowledged', {
    ...options,
    skip,
  }, async () => {
    const database = await createTestDatabase()
    await using cleaning = new AsyncDisposableStack()
    cleaning.defer(database.drop)
    const blobs: BlobFlags = await s3Flags()
    await using old = await startBerth()
    const image = anImage('before', { layers: 2, layerBytes: 3_000_000 })
    await pushImage(old, 'before/app', 'v1', image)
    const changing = keepChanging(old, 'live/app')
    await until('something is there', () => changing.held.size > 3, 60)

    const url = new URL(database.url)
    const env = { ...blobs.env, PGPASSWORD: url.password }
    url.password = ''
    const target = ['--to-database', url.href, '--to-blobs', blobs.flags[1] ?? '']
    const { code, stdout, stderr } = await runBerth(['migrate', '--data', old.dataFolder, ...target], env)
    assert.equal(code, 0, stdout + stderr)
    await changing.stop()
    assert.equal(await push(old, 'late/app', 'v1', image), false)
    await old.stop()

    await using started = await startOn(old.dataFolder, printedFlags(stdout), env)
    await assertHolds(started.server, 'before/app', 'v1', image)
    await assertKept(started.server, 'live/app', changing)
    assert.equal(await push(started.server, 'late/app', 'v1', image), true)
    const undo = await runBerth(['migrate', '--undo', '--data', old.dataFolder], env)
    assert.deepEqual([undo.code, undo.stdout], [1, ''])
    assert.match(
      undo.stderr,
      /^berth: postgres:.* has been changed since everything moved there; that would be lost\n$/,
    )
  })
})
