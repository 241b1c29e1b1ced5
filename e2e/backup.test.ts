/** Backups while clients push, and restores from them, by the commands that docs/operations.md prints. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { chmod, cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { findPostgres, postgresSkip, startPostgres } from '../server/test/postgres.ts'
import { type Berth, startBerth } from './berth.ts'
import { repositoryFolder } from './clients/folders.ts'
import { client } from './clients/index.ts'
import { anImage, type Image } from './images.ts'
import { startProgram } from './program.ts'
import { ask, assertHolds, getBlob, getManifest, listTags, pushImage } from './registry.ts'
import { freshHome, type Home } from './run.ts'

/** The blocks of commands between a heading and the next one. */
function commandsUnder(heading: string): readonly string[] {
  const page = readFileSync(join(repositoryFolder, 'docs', 'operations.md'), 'utf8')
  const section = page.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`))
  assert.ok(section, `docs/operations.md has no section "${heading}"`)
  return Array.from(section.matchAll(/^```\n(.*?)^```$/gms), ([, block]) => block ?? '')
}

/** The one block that holds a text. */
function commandWith(heading: string, text: string): string {
  const found = commandsUnder(heading).filter((block) => block.includes(text))
  assert.equal(found.length, 1, `blocks with ${text} under "${heading}"`)
  return found[0]!
}

describe('berth backup', { timeout: 300_000 }, () => {
  let home: Home
  let berth: Berth
  before(async () => {
    home = await freshHome()
    berth = await startBerth()
    await mkdir(home.path('backup'))
    await mkdir(home.path('srv'))
    await symlink(berth.dataFolder, home.path('srv', 'berth'))
    await writeFile(
      home.path('berth'),
      `#!/bin/sh\nexec '${process.execPath}' '${join(repositoryFolder, 'cli', 'src', 'main.ts')}' "$@"\n`,
    )
    await chmod(home.path('berth'), 0o755)
  })
  after(async () => {
    await berth?.[Symbol.asyncDispose]()
    await home?.[Symbol.asyncDispose]()
  })

  /** As printed, but for the places. */
  const type = (commands: string, folders: readonly string[] = []) =>
    home.run(
      'bash',
      ['-euo', 'pipefail', '-c', commands.replaceAll(/(?<=[ "'=])\/(?=srv\/|backup\/)/g, `${home.folder}/`)],
      {
        env: { PATH: [home.folder, ...folders, process.env.PATH].join(':') },
      },
    )

  /** Pushes one image after the other, which share a layer, until it is told to stop; resolves with what was acknowledged. */
  function keepPushing(repository: string) {
    const acknowledged: Image[] = []
    const over = new AbortController()
    const done = (async () => {
      for (let index = 0; !over.signal.aborted; index++) {
        const image = anImage(`${repository}-${index}`, { layers: 2, layerBytes: 100_000 })
        await pushImage(berth, repository, `v${index}`, image)
        acknowledged.push(image)
      }
    })()
    return {
      acknowledged,
      async stop() {
        over.abort()
        await done
      },
    }
  }

  /** A server on the folder, as the helpers for registries know one. */
  async function startOn(dataFolder: string, flags: readonly string[] = []) {
    const program = await startProgram({ dataFolder, flags: ['--workers', '1', ...flags] })
    const { registry, caCertificate } = program.bootstrap
    const restored = { ...registry, host: `localhost:${program.port}`, ca: caCertificate } as unknown as Berth
    return { restored, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() }
  }

  /** Every tag that is there is there as a whole; and these are there. */
  async function assertWhole(restored: Berth, repository: string, wanted: readonly Image[]): Promise<void> {
    for (const tag of await listTags(restored, repository)) {
      const { json } = await getManifest(restored, repository, tag)
      for (const { digest } of [json.config!, ...(json.layers ?? [])]) await getBlob(restored, repository, digest)
    }
    for (const [index, image] of wanted.entries()) await assertHolds(restored, repository, `v${index}`, image)
  }

  test('of several nodes › a dump and the bytes of a later moment, with the same key', {
    skip: postgresSkip,
  }, async () => {
    await using database = await startPostgres()
    const url = (name: string) => database.urlOf(name)
    await using node = await startBerth({ flags: ['--database', url('postgres')] })
    const image = anImage('dumped')
    await pushImage(node, 'dump/one', 'v0', image)
    const onTestDatabase = (commands: string) =>
      type(
        commands
          .replaceAll('postgres://berth@db.example.com/berth', url('postgres'))
          .replaceAll('postgres://berth@db.example.com/restored', url('restored')),
        [findPostgres() ?? ''],
      )
    await onTestDatabase(commandWith('Several nodes', 'pg_dump'))
    await pushImage(node, 'dump/one', 'v1', anImage('too late'))
    const restored = home.path('srv', 'node')
    await mkdir(restored)
    await cp(join(node.dataFolder, 'blobs'), join(restored, 'blobs'), { recursive: true })
    await cp(join(node.dataFolder, 'bootstrap.json'), join(restored, 'bootstrap.json'))
    await onTestDatabase(commandWith('Restore, and proof', 'pg_restore'))
    const flags = ['--database', url('restored'), '--secret-key', join(node.dataFolder, 'secret.key')]
    await using server = await startOn(restored, flags)
    await assertWhole(server.restored, 'dump/one', [image])
    assert.deepEqual(await listTags(server.restored, 'dump/one'), ['v0'])
  })

  test('while images are pushed › what was acknowledged before is restored, and nothing is named without its bytes', async () => {
    const pushers = ['backup/one', 'backup/two'].map((repository) => ({ repository, ...keepPushing(repository) }))
    const before: (readonly Image[])[] = []
    try {
      for (let run = 0; run < 3; run++) {
        while (pushers.some(({ acknowledged }) => acknowledged.length < 5 * (run + 1))) {
          await ask(berth, 'GET', '/healthz')
        }
        before.splice(0, 2, ...pushers.map(({ acknowledged }) => [...acknowledged]))
        const { stdout } = await type(commandWith('One machine', 'berth backup '))
        assert.match(stdout, / is the server as of /)
      }
    } finally {
      await Promise.all(pushers.map(({ stop }) => stop()))
    }
    const { stdout } = await type(commandWith('Restore, and proof', 'berth fsck'))
    assert.doesNotMatch(stdout, /damaged|missing|lost/)
    await using server = await startOn(home.path('srv', 'berth-restored'))
    for (const [index, { repository }] of pushers.entries()) {
      await assertWhole(server.restored, repository, before[index] ?? [])
    }
  })

  test('an older generation stays as it was while the backup goes on', async () => {
    const image = anImage('generation')
    await pushImage(berth, 'backup/generations', 'v0', image)
    await type(commandWith('One machine', 'berth backup '))
    await type(commandWith('One machine', 'cp -al'))
    const gone = await getManifest(berth, 'backup/generations', 'v0')
    const { status } = await ask(berth, 'DELETE', `/v2/backup/generations/manifests/${gone.digest}`)
    assert.equal(status, 202)
    await type('berth gc --grace 0s --data /srv/berth')
    const { stdout } = await type(commandWith('One machine', 'berth backup '))
    assert.match(stdout, /, [1-9]\d* removed\./)
    await type('cp -a /backup/berth-20* /srv/older')
    await type('berth fsck --data /srv/older')
    await using server = await startOn(home.path('srv', 'older'))
    await assertHolds(server.restored, 'backup/generations', 'v0', image)
  })

  test('by hand, database first and then blobs › the same', { skip: client('sqlite3').skip }, async () => {
    const pusher = keepPushing('backup/by-hand')
    let before: readonly Image[] = []
    try {
      while (pusher.acknowledged.length < 5) await ask(berth, 'GET', '/healthz')
      before = [...pusher.acknowledged]
      await type(commandWith('One machine', 'sqlite3 '))
    } finally {
      await pusher.stop()
    }
    await type('berth fsck --repair --data /backup/by-hand || test $? = 1')
    await type('berth fsck --data /backup/by-hand')
    await writeFile(home.path('backup', 'by-hand', 'bootstrap.json'), JSON.stringify(berth.bootstrap))
    await using server = await startOn(home.path('backup', 'by-hand'))
    await assertWhole(server.restored, 'backup/by-hand', before)
  })
})
