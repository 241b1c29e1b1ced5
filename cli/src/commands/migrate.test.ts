import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, suite, type TestContext, test } from 'node:test'
import { digestOf, hexOf } from '@berth/oci'
import { type Core, createCore } from '@berth/server/app.ts'
import type { Config } from '@berth/server/config/config.ts'
import { loadConfig } from '@berth/server/config/load.ts'
import { keysOf, prepare } from '@berth/server/start/prepare.ts'
import { createTestDatabase } from '../../../server/test/database.ts'
import { postgresSkip } from '../../../server/test/postgres.ts'
import { prepareFolder, run } from '../../test/run.ts'

let home: string
let old: string
let fresh: string
let core: Core
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'berth-migrate-'))
  ;[old, fresh] = [join(home, 'old'), join(home, 'new')]
  const { config } = await prepareFolder(old)
  // As a running server has it.
  core = await createCore(config, await keysOf(config))
  writeFileSync(join(home, 'new.yaml'), 'data: new\nhttp: yes\nport: 0\n')
})
afterEach(async () => {
  await core.dispose()
  rmSync(home, { recursive: true })
})

const migrate = (t: TestContext, ...flags: string[]) => run(t, ['migrate', '--data', old, ...flags])
const toFolder = () => ['--to', join(home, 'new.yaml')] as const
const place = { registry: 'berth', repository: 'team/app' }

async function pushBlob(to: Core, bytes: Buffer) {
  const digest = digestOf('sha256', bytes)
  await to.registry.pushBlob(
    place,
    digest,
    (async function* () {
      yield bytes
    })(),
  )
  return digest
}

async function onTarget<T>(config: Config, work: (target: Core) => Promise<T>): Promise<T> {
  const target = await createCore(config, await keysOf(config))
  try {
    return await work(target)
  } finally {
    await target.dispose()
  }
}

const configOfNew = () => loadConfig({ flags: { config: join(home, 'new.yaml') }, env: {}, terminal: false })

suite('berth migrate', () => {
  test('to another folder › says what has moved and what to type next, and that works', async (t) => {
    const digest = await pushBlob(core, Buffer.from('some bytes'))
    const { code, stdout, stderr } = await migrate(t, ...toFolder())
    assert.equal(code, 0, stderr)
    const [summary, ...rest] = stdout.split('\n')
    assert.match(
      summary ?? '',
      /^Everything has moved to .*\/new\/berth\.db and .*\/new\/blobs: 1 blob \(10 B\), 0 manifests, 0 tags, 1 repository; both sides are alike\. Changes were refused for \d+\.\d s\.$/,
    )
    assert.deepEqual(rest, [
      '',
      'Next:',
      '  1. Stop the old servers. They answer reads and refuse changes.',
      `  2. Every new server needs the same secret key: cp ${old}/secret.key ${fresh}/secret.key`,
      `  3. berth start --config ${home}/new.yaml`,
      '',
      'Uploads that were under way begin anew. Until the new place has taken its first change,',
      `\`berth migrate --undo --data ${old}\` gives changes back to the old one.`,
      '',
    ])
    assert.match(
      stderr,
      /^Copying blobs\.\n[\s\S]*Changes are refused from now on; copying the rest\.\nReading both sides once more\.\n$/,
    )
    const [before] = await core.registries.listPasswords('berth')
    copyFileSync(join(old, 'secret.key'), join(fresh, 'secret.key'))
    const { lock, config, firstStart } = await prepare(configOfNew())
    lock.release()
    assert.equal(firstStart, false)
    await onTarget(config, async (target) => {
      assert.deepEqual((await target.registries.listPasswords('berth'))[0], before)
      assert.equal((await target.registry.getBlob(place, digest)).size, 10)
    })
  })

  test('variables say where everything is, and nothing about the place to be', async (t) => {
    process.env.BERTH_DATA = old
    t.after(() => delete process.env.BERTH_DATA)
    const { code, stdout } = await run(t, ['migrate', ...toFolder()])
    assert.equal(code, 0)
    assert.match(stdout, /^Everything has moved to .*\/new\/berth\.db and .*\/new\/blobs:/)
  })

  test('once more › nothing to do; changes are refused with a sentence', async (t) => {
    await migrate(t, ...toFolder())
    const again = await migrate(t, ...toFolder())
    assert.deepEqual(
      [again.code, again.stdout.split('\n')[0]],
      [0, `Everything has moved to ${fresh}/berth.db already.`],
    )
    const refused = await run(t, ['registry', 'berth', '--anonymous-pull', 'on', '--data', old])
    assert.deepEqual(refused, {
      code: 1,
      stdout: '',
      stderr: `berth: changes are refused: everything has moved to ${fresh}/berth.db\n`,
    })
  })

  test('a server on the old folder starts, and says where everything is; one on a part of it does not', async (t) => {
    await migrate(t, ...toFolder())
    const { lock, notices } = await prepare(loadConfig({ flags: { data: old, http: true, port: '0' }, env: {} }))
    lock.release()
    assert.match(
      notices.join(),
      /Everything has moved to .*\/new\/berth\.db: this server answers reads and refuses changes/,
    )
    assert.equal((await migrate(t, '--undo')).code, 0)
    copyFileSync(join(old, 'secret.key'), join(fresh, 'secret.key'))
    await assert.rejects(prepare(configOfNew()), /cannot start: .*\/new\/berth\.db is being filled by `berth migrate`/)
  })

  test('--undo › gives changes back, until the new place has taken one', async (t) => {
    assert.match((await migrate(t, '--undo')).stdout, /there is nothing to undo/)
    await migrate(t, ...toFolder())
    const undone = await migrate(t, '--undo')
    assert.deepEqual([undone.code, undone.stderr], [0, ''])
    assert.match(undone.stdout, /^.*\/old takes changes again\./)
    const digest = await pushBlob(core, Buffer.from('after all'))
    assert.equal((await migrate(t, ...toFolder())).code, 0)
    copyFileSync(join(old, 'secret.key'), join(fresh, 'secret.key'))
    await onTarget(configOfNew(), async (target) => {
      assert.equal((await target.registry.getBlob(place, digest)).size, 9)
      await pushBlob(target, Buffer.from('the first change'))
    })
    const refused = await migrate(t, '--undo')
    assert.equal(refused.code, 1)
    assert.match(
      refused.stderr,
      /^berth: .*\/new\/berth\.db has been changed since everything moved there; that would be lost\n$/,
    )
    assert.equal((await migrate(t, '--undo', '--force')).code, 0)
    await pushBlob(core, Buffer.from('here again'))
  })

  test('bytes that are not whole › named, exit code 3', async (t) => {
    const digest = await pushBlob(core, Buffer.from('to be lost'))
    const hex = hexOf(digest)
    rmSync(join(old, 'blobs', 'sha256', hex.slice(0, 2), hex))
    const { code, stderr } = await migrate(t, ...toFolder())
    assert.equal(code, 3)
    assert.match(
      stderr,
      new RegExp(`^berth: the bytes of ${digest} in berth/team/app are not whole: push it again$`, 'm'),
    )
  })

  test('what cannot be › one sentence, and nothing has changed', async (t) => {
    const cases: [string[], number, RegExp][] = [
      [[], 2, /^berth: name the new place with --to or --to-database\n$/],
      [['--to-blobs', 's3://bucket'], 2, /^berth: --to-blobs: needs --to-database too\n$/],
      [[...toFolder(), '--to-blobs', 's3://bucket'], 2, /^berth: --to: excludes --to-database and --to-blobs/],
      [['--to-database', 'mysql://x'], 2, /^berth: --to-database: must be a URL like postgres:/],
      [['--to', join(home, 'absent.yaml')], 2, /^berth: --to: cannot read .*absent\.yaml \(ENOENT\)\n$/],
      [[...toFolder(), '--verify', 'some'], 2, /^berth: --verify: must be sizes or full\n$/],
      [['--force'], 2, /^berth: --force: needs --undo too\n$/],
    ]
    for (const [flags, code, message] of cases) {
      const said = await migrate(t, ...flags)
      assert.deepEqual([said.code, said.stdout], [code, ''], flags.join(' '))
      assert.match(said.stderr, message)
    }
    const elsewhere = await run(t, ['migrate', '--data', join(home, 'nowhere'), ...toFolder()])
    assert.match(elsewhere.stderr, /^berth: .*nowhere is not the data folder of a server; name it with --data\n$/)
    writeFileSync(join(home, 'same.yaml'), 'data: old\n')
    assert.match((await migrate(t, '--to', join(home, 'same.yaml'))).stderr, /is where everything is already/)
    mkdirSync(fresh)
    writeFileSync(join(fresh, 'secret.key'), `${randomBytes(32).toString('hex')}\n`)
    assert.match((await migrate(t, ...toFolder())).stderr, /new\/secret\.key is another key than .*old\/secret\.key/)
    await pushBlob(core, Buffer.from('as ever'))
  })

  test('Ctrl+C › says that all goes on, exit code 130, and the same command ends what it began', async (t) => {
    for (let i = 0; i < 40; i++) await pushBlob(core, Buffer.from(`blob ${i}`))
    const program = join(import.meta.dirname, '..', 'main.ts')
    const child = spawn(process.execPath, [program, 'migrate', '--data', old, ...toFolder()])
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (!stderr.includes('Copying blobs.') && (stderr + text).includes('Copying blobs.')) child.kill('SIGINT')
      stderr += text
    })
    const [code] = await once(child, 'exit')
    assert.equal(code, 130)
    assert.match(stderr, /berth: interrupted; the server takes changes as ever\. What was copied stays/)
    await pushBlob(core, Buffer.from('meanwhile'))
    const { stdout } = await migrate(t, ...toFolder())
    assert.match(stdout, /: 41 blobs /)
  })

  test('to PostgreSQL › the folder stays the place of the blobs; the address is printed without the password', {
    skip: postgresSkip,
  }, async (t) => {
    const database = await createTestDatabase()
    t.after(() => database.drop())
    const digest = await pushBlob(core, Buffer.from('some bytes'))
    const { code, stdout, stderr } = await migrate(t, '--to-database', database.url)
    assert.equal(code, 0, stderr)
    const { password } = new URL(database.url)
    assert.ok(password !== '' && !(stdout + stderr).includes(password))
    assert.match(stdout, /^ {2}2\. Every new server needs the same secret key: .*\/old\/secret\.key$/m)
    assert.match(stdout, /^ {2}3\. berth start --data \S+\/old --database 'postgres:\S+' {3}\(with the password/m)
    const flags = { data: old, database: database.url, http: true, port: '0' }
    const { lock, config } = await prepare(loadConfig({ flags, env: {} }))
    lock.release()
    await onTarget(config, async (target) => {
      assert.equal((await target.registry.getBlob(place, digest)).size, 10)
      await pushBlob(target, Buffer.from('the first change'))
    })
  })
})
