/** Garbage collection in the running program: by itself, and by hand beside it. */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { randomBytesOf, sha256 } from './images.ts'
import { basic, fetchOnce, type Program, runBerth, startProgram, until } from './program.ts'
import { temporaryFolder } from './temporary-folder.ts'

const bytes = randomBytesOf('garbage', 4_096)
const digest = sha256(bytes)

async function push({ port, bootstrap }: Program): Promise<void> {
  const headers = { authorization: basic(bootstrap.registry), 'content-length': bytes.length }
  const url = `http://127.0.0.1:${port}/v2/team/app/blobs/uploads/?digest=${digest}`
  assert.equal((await fetchOnce(url, { method: 'POST', headers }, bytes)).status, 201)
}

async function statusOf({ port, bootstrap }: Program): Promise<number> {
  const headers = { authorization: basic(bootstrap.registry) }
  const url = `http://127.0.0.1:${port}/v2/team/app/blobs/${digest}`
  return (await fetchOnce(url, { method: 'HEAD', headers })).status
}

async function metric({ port }: Program, name: string): Promise<number> {
  const { body } = await fetchOnce(`http://127.0.0.1:${port}/metrics`)
  return Number(new RegExp(`^${name} (\\S+)`, 'm').exec(body.toString())?.[1])
}

const blobsIn = async (folder: string) => {
  const names = await readdir(join(folder, 'blobs', 'sha256'), { recursive: true })
  return names.filter((name) => name.length > 60)
}

for (const workers of ['1', '2']) {
  test(`a blob that no manifest names goes by itself, and is counted (workers: ${workers})`, async () => {
    await using data = await temporaryFolder('data')
    const flags = ['--workers', workers, '--gc-interval', '1s', '--gc-grace', '0s']
    await using program = await startProgram({ dataFolder: data.folder, flags })
    await push(program)
    await until('it has gone', async () => (await metric(program, 'berth_gc_deleted_blobs_total')) === 1, 30)
    assert.equal(await statusOf(program), 404)
    assert.equal(await metric(program, 'berth_gc_deleted_bytes_total'), bytes.length)
    assert.deepEqual(await blobsIn(data.folder), [])
    const lastRun = await metric(program, 'berth_gc_last_run_timestamp_seconds')
    assert.ok(Math.abs(lastRun - Date.now() / 1000) < 60, `${lastRun}`)
    await program.stop()
    assert.equal(await program.exited, 0)
  })
}

test('berth gc works beside the running program, which keeps what it is told to keep', async () => {
  await using data = await temporaryFolder('data')
  const flags = ['--gc-interval', 'off', '--gc-grace', '2h']
  await using program = await startProgram({ dataFolder: data.folder, flags })
  await push(program)
  const gc = (...more: string[]) => runBerth(['gc', '--data', data.folder, ...more])
  assert.deepEqual(await gc(), { code: 0, stdout: 'There was nothing to remove.\n', stderr: '' })
  assert.match((await gc('--dry-run', '--grace', '0s')).stdout, /^in all +2 +4\.1 kB$/m)
  assert.equal(await statusOf(program), 200)
  assert.match((await gc('--grace', '0s')).stdout, /^unlinked blob +1 +4\.1 kB +no repository has had it for 0s$/m)
  assert.equal(await statusOf(program), 404)
  assert.deepEqual(await blobsIn(data.folder), [])
})
